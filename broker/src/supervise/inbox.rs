//! The daemon's messages, in systemd's notification protocol from the other
//! side. The kernel says who wrote each (unix(7), `SO_PASSCRED`): the socket's
//! name is no secret, and only the supervisor's own child is listened to.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt::PassCred};
use nix::unistd::{Pid, close};

use crate::clock;
use crate::service_manager::reopen_memory;

/// Longer than anything that the daemon writes.
const LONGEST: usize = 4096;

pub struct Inbox {
    socket: UnixDatagram,
    name: String,
}

/// What a daemon said.
#[derive(Debug, Default)]
pub struct Letter {
    pub ready: bool,
    pub alive: bool,
    pub keep: Option<(String, File)>,
    pub forget: Option<String>,
}

impl Inbox {
    /// Under an abstract name of this network namespace: no file system needs
    /// to be writable for it.
    pub fn open() -> io::Result<Self> {
        let name = format!("molecule-broker/{:016x}", clock::random()?);
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, PassCred, &true)?;
        Ok(Self { socket, name: format!("@{name}") })
    }

    /// For `NOTIFY_SOCKET`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next message, if there is one; empty if it is anybody else's than
    /// `author`'s.
    pub fn next(&self, author: Option<Pid>) -> Option<Letter> {
        let mut bytes = [0; LONGEST];
        let mut control = cmsg_space!(UnixCredentials, [RawFd; 8]);
        let (length, from, descriptors) = {
            let mut buffer = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut buffer, Some(&mut control), flags).ok()?;
            let (mut from, mut descriptors) = (None, Vec::new());
            for part in message.cmsgs().ok().into_iter().flatten() {
                match part {
                    ControlMessageOwned::ScmCredentials(credentials) => from = Some(Pid::from_raw(credentials.pid())),
                    ControlMessageOwned::ScmRights(raw) => descriptors.extend(raw),
                    _ => {}
                }
            }
            (message.bytes, from, descriptors)
        };
        let text = std::str::from_utf8(&bytes[..length]).ok().filter(|_| from.is_some() && from == author);
        let Some(text) = text else {
            for raw in descriptors {
                let _ = close(raw);
            }
            return Some(Letter::default());
        };
        Some(Letter::read(text, descriptors))
    }
}

impl Letter {
    fn read(text: &str, descriptors: Vec<RawFd>) -> Self {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let mut memories: Vec<File> = descriptors.into_iter().filter_map(|raw| reopen_memory(raw).ok()).collect();
        let name = value("FDNAME").map(str::to_owned);
        let mut letter =
            Self { ready: value("READY") == Some("1"), alive: value("WATCHDOG") == Some("1"), ..Self::default() };
        if value("FDSTORE") == Some("1") {
            letter.keep = name.zip(memories.pop());
        } else if value("FDSTOREREMOVE") == Some("1") {
            letter.forget = name;
        }
        letter
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
