//! Decides whether this process accepts a token from a server: it must not if another user put
//! the socket there. The shim has the same rule in `shim/src/trust.rs`.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use molecule_protocol::namespace::{OverflowMeaning, is_closed_to_mapped};
use nix::unistd::Uid;

use crate::system::users::OVERFLOW;

/// Number of symbolic links that are followed on the way to the socket.
const MAX_LINKS: usize = 8;

/// True if the server is root, this user, or the owner of the socket's folder, which no other
/// user may write to. In a user namespace that doesn't map the server, the whole path must be
/// out of reach for every user that it maps.
pub(super) fn is_trusted(server: Uid, own: Uid, socket: &Path) -> bool {
    let Some(folder) = socket.parent() else { return false };
    if server == OVERFLOW {
        return match overflow() {
            OverflowMeaning::User => server == own,
            OverflowMeaning::Unmapped => own != OVERFLOW && is_out_of_reach(folder),
            OverflowMeaning::Ambiguous => false,
        };
    }
    let owns = |folder: Metadata| owns_alone(server, folder.uid(), folder.mode());
    server.is_root() || server == own || fs::symlink_metadata(folder).ok().filter(Metadata::is_dir).is_some_and(owns)
}

fn owns_alone(uid: Uid, owner: u32, mode: u32) -> bool {
    uid.as_raw() == owner && mode & 0o022 == 0
}

/// Returns the meaning of the overflow uid for this process. A system without user namespaces
/// has no map to read.
pub(crate) fn overflow() -> OverflowMeaning {
    fs::read("/proc/self/uid_map").map_or(OverflowMeaning::User, |map| OverflowMeaning::from_uid_map(&map))
}

/// True if no user that this namespace maps can change any folder on the way, from the root to the
/// socket's own: only each folder's owner can. Each symbolic link on the way takes another round,
/// since it leads through other folders.
fn is_out_of_reach(folder: &Path) -> bool {
    let mut path = folder.to_owned();
    for _ in 0..=MAX_LINKS {
        let Ok(link) = first_link(&path) else { return false };
        let Some(link) = link else { return true };
        let (Ok(target), Ok(rest)) = (link.read_link(), path.strip_prefix(&link)) else { return false };
        path = link.parent().unwrap_or(Path::new("/")).join(target).join(rest);
    }
    false
}

/// Returns the first symbolic link in a path, or `None` if there is none. Every folder up to there
/// must be closed to mapped users, or it returns an error.
fn first_link(path: &Path) -> Result<Option<PathBuf>, ()> {
    if !path.is_absolute() {
        return Err(());
    }
    let mut at = PathBuf::new();
    for part in path.components() {
        at.push(part);
        let there = fs::symlink_metadata(&at).map_err(drop)?;
        if !is_closed_to_mapped(there.uid(), there.mode()) {
            return Err(());
        }
        if there.is_symlink() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule25_a_server_counts_by_its_folder_if_it_owns_that_alone() {
        let someone = Uid::from_raw(1000);
        assert!(owns_alone(someone, 1000, 0o40755));
        assert!(!owns_alone(someone, 1001, 0o40755));
        assert!(!owns_alone(someone, 1000, 0o40775) && !owns_alone(someone, 1000, 0o41777));
    }
}
