//! Receives the daemon's messages: the service manager's side of systemd's notification protocol
//! (sd_notify(3)).
//!
//! They come over a socket pair that is new for each daemon. The pair has no name, neither in the
//! file system nor in the abstract namespace. So no other process can write to the supervisor,
//! fill its queue, or send it descriptors whose close(2) waits for a network.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rustix::cmsg_space;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Size of the receive buffer in bytes. The daemon's messages are shorter.
const MAX_MESSAGE: usize = 4096;

/// The kernel's limit of descriptors in one message (unix(7), `SCM_MAX_FD`).
const MAX_FDS: usize = 253;

pub struct NotifyReceiver(UnixDatagram);

/// A message from a daemon.
#[derive(Debug, Default)]
pub struct NotifyMessage {
    pub ready: bool,
    pub alive: bool,
    /// Name and file of a descriptor to store for the next daemon.
    pub store: Option<(String, File)>,
    /// Name of a stored descriptor to drop.
    pub remove: Option<String>,
}

impl NotifyReceiver {
    /// Opens a socket pair. Returns the receiver and the daemon's end.
    pub fn open() -> io::Result<(Self, UnixDatagram)> {
        let (ours, theirs) = UnixDatagram::pair()?;
        Ok((Self(ours), theirs))
    }

    /// Returns the next message, if one has arrived.
    pub fn next(&self) -> Option<NotifyMessage> {
        let mut bytes = [0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
        // Owns the received descriptors, so those that aren't taken are closed, including those of
        // a truncated message.
        let mut parts = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut parts, flags).ok()?;
        let mut descriptors = Vec::new();
        for part in parts.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                descriptors.extend(rights);
            }
        }
        Some(
            std::str::from_utf8(&bytes[..read.bytes])
                .map_or_else(|_| NotifyMessage::default(), |t| NotifyMessage::parse(t, descriptors)),
        )
    }
}

impl NotifyMessage {
    fn parse(text: &str, descriptors: Vec<OwnedFd>) -> Self {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let name = value("FDNAME").map(str::to_owned);
        let mut message =
            Self { ready: value("READY") == Some("1"), alive: value("WATCHDOG") == Some("1"), ..Self::default() };
        if value("FDSTORE") == Some("1") {
            message.store = name.zip(descriptors.into_iter().next().map(File::from));
        } else if value("FDSTOREREMOVE") == Some("1") {
            message.remove = name;
        }
        message
    }
}

impl AsFd for NotifyReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

    use super::*;

    fn write(to: &UnixDatagram, text: &str, descriptors: &[i32]) {
        let rights = [ControlMessage::ScmRights(descriptors)];
        sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(text.as_bytes())], &rights, MsgFlags::empty(), None).unwrap();
    }

    /// The read end of a pipe reports `POLLHUP` once all copies of the write end are closed.
    #[test]
    fn every_descriptor_that_isnt_kept_is_closed_however_many_come() {
        let (receiver, daemon) = NotifyReceiver::open().unwrap();
        for (count, text) in [(9, "READY=1"), (MAX_FDS, "READY=1"), (MAX_FDS, "\u{0}"), (MAX_FDS, "FDSTORE=1")] {
            let (reader, writer) = io::pipe().unwrap();
            write(&daemon, text, &vec![writer.as_raw_fd(); count]);
            drop(writer);
            assert_eq!(receiver.next().unwrap().ready, text == "READY=1");
            let mut end = [nix::poll::PollFd::new(reader.as_fd(), nix::poll::PollFlags::empty())];
            assert_eq!(nix::poll::poll(&mut end, 0_u8), Ok(1), "{count} with {text:?}: one is still open");
        }
        assert!(receiver.next().is_none());
    }

    #[test]
    fn of_several_descriptors_the_first_is_the_one_to_keep() {
        let (receiver, daemon) = NotifyReceiver::open().unwrap();
        let file = tempfile::tempfile().unwrap();
        write(&daemon, "FDSTORE=1\nFDNAME=lease-1", &[file.as_raw_fd(), daemon.as_raw_fd()]);
        let (name, kept) = receiver.next().unwrap().store.unwrap();
        assert!(name == "lease-1" && kept.metadata().unwrap().is_file());
    }
}
