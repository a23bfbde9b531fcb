//! The path of the broker's socket.

use crate::protocol::limits::{DEFAULT_SOCKET, MAX_SOCKET_PATH, RUNTIME_SOCKET};
use crate::sys::{self, Peer, Start};
use crate::text::{Text, folder};
use crate::trust::is_trusted;

/// The socket's path.
pub(crate) struct SocketPath {
    path: Text<MAX_SOCKET_PATH>,
    fixed: bool,
}

impl SocketPath {
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

    /// Next path to try when there is no socket: the user's own runtime folder, if
    /// the system's was never made.
    #[must_use]
    pub(crate) fn next(&self, start: &Start<'_>) -> Option<Self> {
        let runtime = start.setting(b"XDG_RUNTIME_DIR")?;
        if self.fixed || self.folder().is_some() {
            return None;
        }
        Some(Self { path: Text::of(&[runtime, RUNTIME_SOCKET.as_bytes()]), fixed: true })
    }

    /// True if this server may feed the shim a token.
    #[must_use]
    pub(crate) fn trusts(&self, peer: Peer, own: u32) -> bool {
        self.path().is_some_and(|path| is_trusted(peer.uid, own, path))
    }

    fn folder(&self) -> Option<sys::Stat> {
        let mut path = Text::<{ MAX_SOCKET_PATH + 1 }>::of(&[folder(self.path()?)]);
        sys::stat(path.arg()?).ok()
    }
}
