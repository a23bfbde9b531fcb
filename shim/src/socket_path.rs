//! The path of the broker's socket.

use crate::protocol::limits::{DEFAULT_SOCKET, MAX_SOCKET_PATH, RUNTIME_SOCKET};
use crate::sys::{self, PeerCredentials, ProcessStart};
use crate::text::{BoundedText, parent_folder};
use crate::trust::is_trusted;

/// The socket's path.
pub(crate) struct SocketPath {
    path: BoundedText<MAX_SOCKET_PATH>,
    /// No other path is tried.
    fixed: bool,
}

impl SocketPath {
    #[must_use]
    pub(crate) fn from_environment(start: &ProcessStart<'_>) -> Self {
        let set = start.setting(b"MOLECULE_BROKER_SOCKET");
        Self { path: BoundedText::concat(&[set.unwrap_or(DEFAULT_SOCKET.as_bytes())]), fixed: set.is_some() }
    }

    /// Returns `None` if the path is too long for a socket.
    #[must_use]
    pub(crate) fn path(&self) -> Option<&[u8]> {
        self.path.whole()
    }

    /// Returns the path for a message, cut if it is too long.
    #[must_use]
    pub(crate) fn display(&self) -> &[u8] {
        self.path.get()
    }

    /// Returns the next path to try if there is no socket: the one in the user's own
    /// runtime folder, if the system's folder doesn't exist.
    #[must_use]
    pub(crate) fn next(&self, start: &ProcessStart<'_>) -> Option<Self> {
        let runtime = start.setting(b"XDG_RUNTIME_DIR")?;
        if self.fixed || self.folder().is_some() {
            return None;
        }
        Some(Self { path: BoundedText::concat(&[runtime, RUNTIME_SOCKET.as_bytes()]), fixed: true })
    }

    /// True if the shim accepts a token from this server.
    #[must_use]
    pub(crate) fn trusts(&self, peer: PeerCredentials, own: u32) -> bool {
        self.path().is_some_and(|path| is_trusted(peer.uid, own, path))
    }

    fn folder(&self) -> Option<sys::FileStat> {
        let mut path = BoundedText::<{ MAX_SOCKET_PATH + 1 }>::concat(&[parent_folder(self.path()?)]);
        sys::stat(path.arg()?).ok()
    }
}
