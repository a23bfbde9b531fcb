//! The descriptors that a service manager passes to the daemon, distinguished by their names.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};

use listenfd::ListenFd;
use nix::unistd::close;

use super::StoredFd;
use crate::system::environment;

/// Name of the listening socket's descriptor under `supervise`. A systemd socket unit may give it
/// any name.
pub const SOCKET: &str = "socket";

/// Name of the descriptor for messages to `supervise`. It replaces the `NOTIFY_SOCKET` of systemd:
/// a socket without an address can't receive messages from other processes.
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
    /// Takes over the descriptors that were passed to this process. Call it once, before
    /// anything else opens a descriptor.
    ///
    /// # Errors
    /// Returns an error if a socket was passed that can't be served.
    pub fn take() -> io::Result<Self> {
        // The names must be read first: the crate removes the variables that belong to them.
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
                    Err(error) => tracing::warn!(name, "a kept lease can't be opened and is dropped: {error}"),
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

/// Reopens a raw descriptor read-only as an owned `File`, if it is a memfd. The raw descriptor is
/// closed in any case.
///
/// # Errors
/// Returns an error if it isn't a memfd.
pub fn reopen_memory(raw: RawFd) -> io::Result<File> {
    let place = format!("/proc/self/fd/{raw}");
    let memory = fs::read_link(&place).and_then(|target| {
        // Opening a device or a pipe can do harm, so the link must be that of a memfd. Besides a
        // memfd, only a file in the root folder could have such a link.
        let shown = target.to_string_lossy();
        if !(shown.starts_with("/memfd:") && shown.ends_with(" (deleted)")) {
            return Err(io::Error::other("not a memory file"));
        }
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&place)
    });
    let _ = close(raw);
    memory
}
