//! Messages to the service manager.

use std::ffi::OsStr;
use std::io;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Time in milliseconds to wait for a service manager whose queue is full. It is busy or
/// stopped, and the daemon has clients that wait too.
const PATIENCE: u16 = 100;

pub(super) struct Notifier(UnixDatagram);

impl Notifier {
    /// Connects to a path, or with a leading `@` to an abstract name.
    pub(super) fn new(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::other("it is neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(Self(socket))
    }

    pub(super) fn from_connected(connected: UnixDatagram) -> Self {
        Self(connected)
    }

    pub(super) fn send(&self, message: &str, descriptor: Option<&OwnedFd>) -> io::Result<()> {
        match self.try_send(message, descriptor) {
            Err(Errno::EAGAIN) => {
                poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)], PATIENCE)?;
                Ok(self.try_send(message, descriptor)?)
            }
            done => Ok(done?),
        }
    }

    fn try_send(&self, message: &str, descriptor: Option<&OwnedFd>) -> Result<(), Errno> {
        let raw = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
        let rights = raw.as_ref().map(|raw| ControlMessage::ScmRights(raw));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let text = [IoSlice::new(message.as_bytes())];
        sendmsg::<()>(self.0.as_raw_fd(), &text, rights.as_slice(), flags, None).map(drop)
    }
}
