//! The lease memories that are held for the next daemon. What is in them is
//! none of the supervisor's business; that nobody can change them any more is.

use std::fs::File;
use std::os::fd::OwnedFd;

use super::log;
use crate::daemon::lease_memory::format::MAX_BYTES;
use crate::daemon::lease_memory::is_sealed;
use crate::daemon::service_manager::LEASE;

/// A daemon keeps one, and two for a moment.
const MOST: usize = 8;

#[derive(Default)]
pub struct FdStore(Vec<(String, File)>);

impl FdStore {
    pub fn insert(&mut self, name: String, memory: File) {
        let plain = name.len() <= 64 && name.strip_prefix(LEASE).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        // In this order: other files could take their time to tell their size.
        let small = || memory.metadata().is_ok_and(|m| m.len() <= MAX_BYTES as u64);
        if !(plain && is_sealed(&memory) && small()) {
            log::warn("the daemon gave a lease memory that is not sealed, too big or oddly named; it isn't kept");
            return;
        }
        self.remove(&name);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push((name, memory));
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(kept, _)| kept != name);
    }

    /// Names and descriptors for a daemon.
    pub fn copies(&self) -> Vec<(String, OwnedFd)> {
        self.0.iter().filter_map(|(name, memory)| Some((name.clone(), memory.try_clone().ok()?.into()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::lease_memory::seal;

    fn memory() -> File {
        File::from(seal(b"x").unwrap())
    }

    fn names(kept: &FdStore) -> Vec<String> {
        kept.copies().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn rule50_only_sealed_memory_with_a_leases_name_is_kept() {
        let mut kept = FdStore::default();
        kept.insert("lease-1".into(), tempfile::tempfile().unwrap());
        kept.insert("socket".into(), memory());
        kept.insert("lease-1:socket".into(), memory());
        assert!(names(&kept).is_empty());
        kept.insert("lease-1".into(), memory());
        assert_eq!(names(&kept), ["lease-1"]);
    }

    #[test]
    fn it_never_holds_more_than_a_few() {
        let mut kept = FdStore::default();
        (0..100).for_each(|n| kept.insert(format!("lease-{n}"), memory()));
        assert_eq!(names(&kept).len(), MOST);
        assert_eq!(names(&kept).last().unwrap(), "lease-99");
    }
}
