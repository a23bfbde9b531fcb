//! The descriptors that a service manager hands over, told apart by name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};

use listenfd::ListenFd;
use nix::unistd::close;

use super::StoredFd;
use crate::system::environment;

/// The name of the listening socket's descriptor under `supervise`; a systemd
/// socket unit may call it anything.
pub const SOCKET: &str = "socket";

/// The name of the line to `supervise`, which takes the place of the
/// `NOTIFY_SOCKET` that systemd has: what has no address hears no stranger.
pub const NOTIFY: &str = "supervise-notify";

/// Prefix of the names of stored lease memories.
pub const LEASE: &str = "lease-";

#[derive(Debug, Default)]
pub struct Handed {
    pub listener: Option<UnixListener>,
    pub notify: Option<UnixDatagram>,
    pub leases: Vec<StoredFd>,
}

impl Handed {
    /// Takes over what was handed to this process. To be called once, before
    /// anything else opens a descriptor.
    ///
    /// # Errors
    /// There is a socket, but none that can be served.
    pub fn take() -> io::Result<Self> {
        // They must be read before the crate takes their companions away.
        let names = environment::text("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut handed = Self::default();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default();
            if name.starts_with(LEASE) {
                let Some(raw) = descriptors.take_raw_fd(index)? else { continue };
                match reopen_memory(raw) {
                    Ok(memory) => handed.leases.push(StoredFd { name: name.to_owned(), memory }),
                    Err(error) => tracing::warn!(name, "a kept lease is no memory, dropped: {error}"),
                }
            } else if name == NOTIFY {
                handed.notify = descriptors.take_unix_datagram(index)?;
            } else if handed.listener.is_none() {
                handed.listener = descriptors.take_unix_listener(index)?;
            } else if let Some(raw) = descriptors.take_raw_fd(index)? {
                tracing::warn!(name, "more than one socket was handed over; only the first is served");
                let _ = close(raw);
            }
        }
        Ok(handed)
    }
}

/// Takes over a descriptor of which only the number is known, for reading, if
/// it is a memfd: opened anew it has an owner. The old number is closed in any
/// case.
///
/// # Errors
/// It is anything else.
pub fn reopen_memory(raw: RawFd) -> io::Result<File> {
    let place = format!("/proc/self/fd/{raw}");
    let memory = fs::read_link(&place).and_then(|target| {
        // Opening a device or a pipe can do harm; a memfd's name can't be
        // forged by a file: that one's begins with a slash and ends otherwise.
        let shown = target.to_string_lossy();
        if !(shown.starts_with("/memfd:") && shown.ends_with(" (deleted)")) {
            return Err(io::Error::other("not a memory file"));
        }
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&place)
    });
    let _ = close(raw);
    memory
}
