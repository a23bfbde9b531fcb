//! The daemon's messages, in systemd's notification protocol from the other
//! side. They come over a pair of sockets that each daemon gets a new one of:
//! it has no name, in the file system or out of it, so nobody else can write to
//! the supervisor, fill its queue, or hand it descriptors whose closing waits
//! for a network.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rustix::cmsg_space;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Longer than anything that the daemon writes.
const LONGEST: usize = 4096;

/// The most that the kernel lets one message carry (unix(7), `SCM_MAX_FD`).
const MOST: usize = 253;

pub struct NotifyReceiver(UnixDatagram);

/// What a daemon said.
#[derive(Debug, Default)]
pub struct NotifyMessage {
    pub ready: bool,
    pub alive: bool,
    pub keep: Option<(String, File)>,
    pub forget: Option<String>,
}

impl NotifyReceiver {
    /// With the end that the daemon gets.
    pub fn open() -> io::Result<(Self, UnixDatagram)> {
        let (ours, theirs) = UnixDatagram::pair()?;
        Ok((Self(ours), theirs))
    }

    /// The next message, if there is one.
    pub fn next(&self) -> Option<NotifyMessage> {
        let mut bytes = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
        // Whatever comes has an owner in here, and is closed if nobody takes
        // it, also what came of a message that had to be cut.
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
                .map_or_else(|_| NotifyMessage::default(), |t| NotifyMessage::read(t, descriptors)),
        )
    }
}

impl NotifyMessage {
    fn read(text: &str, descriptors: Vec<OwnedFd>) -> Self {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let name = value("FDNAME").map(str::to_owned);
        let mut message =
            Self { ready: value("READY") == Some("1"), alive: value("WATCHDOG") == Some("1"), ..Self::default() };
        if value("FDSTORE") == Some("1") {
            message.keep = name.zip(descriptors.into_iter().next().map(File::from));
        } else if value("FDSTOREREMOVE") == Some("1") {
            message.forget = name;
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

    /// A pipe tells by its end whether anybody still holds a copy.
    #[test]
    fn every_descriptor_that_isnt_kept_is_closed_however_many_come() {
        let (receiver, daemon) = NotifyReceiver::open().unwrap();
        for (count, text) in [(9, "READY=1"), (MOST, "READY=1"), (MOST, "\u{0}"), (MOST, "FDSTORE=1")] {
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
        let (name, kept) = receiver.next().unwrap().keep.unwrap();
        assert!(name == "lease-1" && kept.metadata().unwrap().is_file());
    }
}
