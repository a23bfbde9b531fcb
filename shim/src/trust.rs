//! Decides whether the shim accepts a token from a server: it must not if another
//! user put the socket there.

use crate::fallback::Path;
use crate::protocol::namespace::{OVERFLOW_UID, Overflow, is_closed_to_mapped};
use crate::sys::{self, Arg, Stat};
use crate::text::folder;

/// Links that are followed on the way to the socket.
const MAX_LINKS: usize = 8;

/// True if the server is root, this user, or the owner of the socket's folder,
/// which no other user may write to.
///
/// In a user namespace root shows as the overflow uid, and so may any other
/// user. The server's user can't be told there, but the users who could have put
/// the socket in its place can: see [`is_out_of_reach`].
#[must_use]
pub(crate) fn is_trusted(server: u32, own: u32, socket: &[u8]) -> bool {
    if server == OVERFLOW_UID {
        return match overflow() {
            Overflow::User => server == own,
            Overflow::Unmapped => own != OVERFLOW_UID && is_out_of_reach(folder(socket)),
            Overflow::Ambiguous => false,
        };
    }
    server == 0 || server == own || stat(socket).is_some_and(|folder| owns_alone(server, folder))
}

fn stat(socket: &[u8]) -> Option<Stat> {
    sys::stat(Path::of(&[folder(socket)]).arg()?).ok()
}

fn owns_alone(uid: u32, folder: Stat) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    uid == folder.uid && folder.mode & OTHERS_WRITE == 0
}

/// Reads the user namespace's map. A system without user namespaces has none.
#[cold]
#[inline(never)]
pub(crate) fn overflow() -> Overflow {
    /// A longer map is that of no sandbox; it may have been cut.
    const LONGEST: usize = 1024;
    let mut map = [0; LONGEST];
    let read = Arg::new(b"/proc/self/uid_map\0").and_then(|path| {
        let file = sys::open_to_read(path).ok()?;
        sys::read(&file, &mut map).ok()
    });
    match read {
        None => Overflow::User,
        Some(LONGEST) => Overflow::Ambiguous,
        Some(length) => Overflow::of(&map[..length]),
    }
}

/// True if only its owner, and no user that this namespace maps, can change a
/// folder on the way, from the root to the socket's own. Each link on
/// the way takes another round, since it leads through other folders.
#[cold]
#[inline(never)]
fn is_out_of_reach(folder: &[u8]) -> bool {
    let mut path = Path::of(&[folder]);
    for _ in 0..=MAX_LINKS {
        let at = match first_link(&path) {
            Way::Closed => return true,
            Way::Open => return false,
            Way::Link { at } => at,
        };
        if !replace_link(&mut path, at) {
            return false;
        }
    }
    false
}

enum Way {
    Closed,
    Open,
    /// The part of the path up to here is a link that only its owner can
    /// replace, in folders that are closed.
    Link {
        at: usize,
    },
}

fn first_link(path: &Path) -> Way {
    let Some(text) = path.whole().filter(|text| text.starts_with(b"/")) else { return Way::Open };
    let mut part = Path::new();
    for (at, byte) in text.iter().enumerate() {
        part.push(&[*byte]);
        let ends = at == 0 || text.get(at + 1).is_none_or(|&next| next == b'/');
        if !ends {
            continue;
        }
        match part.arg().and_then(|part| sys::stat_link(part).ok()) {
            Some(stat) if !is_closed_to_mapped(stat.uid, stat.mode) => return Way::Open,
            Some(stat) if stat.is_link() => return Way::Link { at: at + 1 },
            Some(_) => {}
            None => return Way::Open,
        }
    }
    Way::Closed
}

/// Replaces the link at the path's beginning by what it says.
fn replace_link(path: &mut Path, at: usize) -> bool {
    let was = *path;
    let (link, rest) = was.get().split_at(at);
    let mut target = [0; 4096];
    let read = Path::of(&[link]).arg().and_then(|link| sys::read_link(link, &mut target).ok());
    let Some(target) = read else { return false };
    *path = Path::new();
    if !target.starts_with(b"/") {
        path.push(folder(link));
        path.push(b"/");
    }
    path.push(target);
    path.push(rest);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(uid: u32, mode: u32) -> Stat {
        Stat { identity: (0, 0), mode, uid }
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
        for (name, target, wanted) in
            [("absolute", "/run", "/run/x".into()), ("relative", "../y", std::format!("{text}/../y/x"))]
        {
            let link = base.join(name);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).unwrap();
            let mut path = Path::of(&[link.to_str().unwrap().as_bytes(), b"/x"]);
            assert!(replace_link(&mut path, link.to_str().unwrap().len()));
            assert_eq!(std::str::from_utf8(path.get()).unwrap(), wanted);
        }
        std::fs::remove_dir_all(base).unwrap();
    }
}
