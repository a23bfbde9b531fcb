//! Decides whether the shim accepts a token from a server. It must not if another
//! user put the socket in place.

use crate::fallback::PathText;
use crate::protocol::namespace::{OVERFLOW_UID, OverflowMeaning, is_closed_to_mapped};
use crate::sys::{self, Arg, FileStat};
use crate::text::parent_folder;

/// Number of symbolic links that are followed on the way to the socket.
const MAX_LINKS: usize = 8;

/// True if the server is root, this user, or the owner of the socket's folder if no
/// other user can write to that folder.
///
/// In a user namespace root shows as the overflow uid, and so may any other user. The
/// server's user is unknown there, but the users who could have put the socket in its
/// place are known: see [`is_out_of_reach`].
#[must_use]
pub(crate) fn is_trusted(server: u32, own: u32, socket: &[u8]) -> bool {
    if server == OVERFLOW_UID {
        return match overflow_meaning() {
            OverflowMeaning::User => server == own,
            OverflowMeaning::Unmapped => own != OVERFLOW_UID && is_out_of_reach(parent_folder(socket)),
            OverflowMeaning::Ambiguous => false,
        };
    }
    server == 0 || server == own || folder_stat(socket).is_some_and(|folder| owns_alone(server, folder))
}

fn folder_stat(socket: &[u8]) -> Option<FileStat> {
    sys::stat(PathText::concat(&[parent_folder(socket)]).arg()?).ok()
}

fn owns_alone(uid: u32, folder: FileStat) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    uid == folder.uid && folder.mode & OTHERS_WRITE == 0
}

/// Reads the meaning of the overflow uid from the user namespace's map. A system without
/// user namespaces has no map.
#[cold]
#[inline(never)]
pub(crate) fn overflow_meaning() -> OverflowMeaning {
    /// Size of the read buffer, in bytes. No sandbox has such a long map, and a map of
    /// this length may have been cut.
    const LONGEST: usize = 1024;
    let mut map = [0; LONGEST];
    let read = Arg::new(b"/proc/self/uid_map\0").and_then(|path| {
        let file = sys::open_to_read(path).ok()?;
        sys::read(&file, &mut map).ok()
    });
    match read {
        None => OverflowMeaning::User,
        Some(LONGEST) => OverflowMeaning::Ambiguous,
        Some(length) => OverflowMeaning::from_uid_map(&map[..length]),
    }
}

/// True if no user that this namespace maps can change a folder on the way from the
/// root to the socket's own. Each symbolic link on the way takes another round, since it
/// leads through other folders.
#[cold]
#[inline(never)]
fn is_out_of_reach(folder: &[u8]) -> bool {
    let mut path = PathText::concat(&[folder]);
    for _ in 0..=MAX_LINKS {
        let at = match first_link(&path) {
            PathCheck::Closed => return true,
            PathCheck::Open => return false,
            PathCheck::Link { at } => at,
        };
        if !replace_link(&mut path, at) {
            return false;
        }
    }
    false
}

/// Result of a look at the folders of a path.
enum PathCheck {
    /// No mapped user can change any of them.
    Closed,
    /// A mapped user may be able to change one of them.
    Open,
    /// The part of the path up to `at` is a symbolic link that only its owner can
    /// replace, in folders that are closed.
    Link { at: usize },
}

fn first_link(path: &PathText) -> PathCheck {
    let Some(text) = path.whole().filter(|text| text.starts_with(b"/")) else { return PathCheck::Open };
    let mut part = PathText::new();
    for (at, byte) in text.iter().enumerate() {
        part.push(&[*byte]);
        let ends = at == 0 || text.get(at + 1).is_none_or(|&next| next == b'/');
        if !ends {
            continue;
        }
        match part.arg().and_then(|part| sys::stat_link(part).ok()) {
            Some(stat) if !is_closed_to_mapped(stat.uid, stat.mode) => return PathCheck::Open,
            Some(stat) if stat.is_link() => return PathCheck::Link { at: at + 1 },
            Some(_) => {}
            None => return PathCheck::Open,
        }
    }
    PathCheck::Closed
}

/// Replaces the symbolic link at the path's beginning by its target. Returns false if
/// the link can't be read.
fn replace_link(path: &mut PathText, at: usize) -> bool {
    let was = *path;
    let (link, rest) = was.get().split_at(at);
    let mut target = [0; 4096];
    let read = PathText::concat(&[link]).arg().and_then(|link| sys::read_link(link, &mut target).ok());
    let Some(target) = read else { return false };
    *path = PathText::new();
    if !target.starts_with(b"/") {
        path.push(parent_folder(link));
        path.push(b"/");
    }
    path.push(target);
    path.push(rest);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(uid: u32, mode: u32) -> FileStat {
        FileStat { identity: (0, 0), mode, uid }
    }

    #[test]
    fn rule25_a_folders_owner_is_trusted_if_no_other_user_writes() {
        assert!(owns_alone(1000, stat(1000, 0o40755)));
        assert!(!owns_alone(1000, stat(1000, 0o40775)));
        assert!(!owns_alone(1000, stat(1000, 0o41777)));
        assert!(!owns_alone(1001, stat(1000, 0o40755)));
    }

    #[test]
    fn a_link_is_replaced_by_its_target_and_the_rest_stays() {
        let base = std::env::temp_dir().join(std::format!("shim-trust-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        let text = base.to_str().unwrap();
        for (name, target, expected) in
            [("absolute", "/run", "/run/x".into()), ("relative", "../y", std::format!("{text}/../y/x"))]
        {
            let link = base.join(name);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).unwrap();
            let mut path = PathText::concat(&[link.to_str().unwrap().as_bytes(), b"/x"]);
            assert!(replace_link(&mut path, link.to_str().unwrap().len()));
            assert_eq!(std::str::from_utf8(path.get()).unwrap(), expected);
        }
        std::fs::remove_dir_all(base).unwrap();
    }
}
