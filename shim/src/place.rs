//! Where the broker's socket is.

use crate::protocol::limits::{DEFAULT_SOCKET, MAX_SOCKET_PATH, RUNTIME_SOCKET};
use crate::sys::{self, Peer, Start};
use crate::text::{Text, folder};

/// The id that the kernel shows for whoever has none in this user namespace:
/// two of them need not be the same user.
const OVERFLOW: u32 = 65534;

/// The socket's path.
pub(crate) struct Place {
    path: Text<MAX_SOCKET_PATH>,
    fixed: bool,
}

impl Place {
    #[must_use]
    pub(crate) fn of(start: &Start<'_>) -> Self {
        let said = start.setting(b"MOLECULE_BROKER_SOCKET");
        Self { path: Text::of(&[said.unwrap_or(DEFAULT_SOCKET.as_bytes())]), fixed: said.is_some() }
    }

    /// `None` if no socket can have it.
    #[must_use]
    pub(crate) fn path(&self) -> Option<&[u8]> {
        self.path.whole()
    }

    /// For a line on stderr.
    #[must_use]
    pub(crate) fn shown(&self) -> &[u8] {
        self.path.get()
    }

    /// Where to look when there is no socket: the user's own runtime folder, if
    /// the system's was never made.
    #[must_use]
    pub(crate) fn next(&self, start: &Start<'_>) -> Option<Self> {
        let runtime = start.setting(b"XDG_RUNTIME_DIR")?;
        if self.fixed || self.folder().is_some() {
            return None;
        }
        Some(Self { path: Text::of(&[runtime, RUNTIME_SOCKET.as_bytes()]), fixed: true })
    }

    /// Whether this server may feed us a token: root, ourselves, or the owner
    /// of the socket's folder, if nobody else can put a socket there.
    #[must_use]
    pub(crate) fn trusts(&self, peer: Peer, own: u32) -> bool {
        peer.uid == 0 || peer.uid == own || self.folder().is_some_and(|folder| owns_alone(peer.uid, folder))
    }

    fn folder(&self) -> Option<sys::Stat> {
        let mut path = Text::<{ MAX_SOCKET_PATH + 1 }>::of(&[folder(self.path()?)]);
        sys::stat(path.arg()?).ok()
    }
}

fn owns_alone(uid: u32, folder: sys::Stat) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    uid == folder.uid && uid != OVERFLOW && folder.mode & OTHERS_WRITE == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(uid: u32, mode: u32) -> sys::Stat {
        sys::Stat { identity: (0, 0), mode, uid }
    }

    #[test]
    fn d25_the_folders_owner_is_trusted_while_nobody_else_may_write_it() {
        assert!(owns_alone(1000, stat(1000, 0o40755)));
        assert!(!owns_alone(1000, stat(1000, 0o40775)));
        assert!(!owns_alone(1000, stat(1000, 0o41777)));
        assert!(!owns_alone(1001, stat(1000, 0o40755)));
        assert!(!owns_alone(OVERFLOW, stat(OVERFLOW, 0o40755)));
    }
}
