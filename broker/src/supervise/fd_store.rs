//! Store of the lease memories that the supervisor holds for the next daemon. The supervisor
//! doesn't read them; it checks that they are sealed, so that no process can change them.

use std::fs::File;
use std::os::fd::OwnedFd;

use super::log;
use crate::daemon::lease_memory::format::MAX_BYTES;
use crate::daemon::lease_memory::is_sealed;
use crate::daemon::service_manager::LEASE;

/// The limit of stored descriptors. A daemon keeps one, and for a moment two.
const MAX_STORED: usize = 8;

#[derive(Default)]
pub struct FdStore(Vec<(String, File)>);

impl FdStore {
    pub fn insert(&mut self, name: String, memory: File) {
        let plain = name.len() <= 64 && name.strip_prefix(LEASE).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        // The size is asked for last: fstat(2) on another kind of file could block.
        let small = || memory.metadata().is_ok_and(|m| m.len() <= MAX_BYTES as u64);
        if !(plain && is_sealed(&memory) && small()) {
            log::warn(
                "the daemon sent a lease memory that isn't sealed, is too big or has an unexpected name; it isn't kept",
            );
            return;
        }
        self.remove(&name);
        if self.0.len() == MAX_STORED {
            self.0.remove(0);
        }
        self.0.push((name, memory));
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(kept, _)| kept != name);
    }

    /// Returns the names and duplicated descriptors for a new daemon.
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
        assert_eq!(names(&kept).len(), MAX_STORED);
        assert_eq!(names(&kept).last().unwrap(), "lease-99");
    }
}
