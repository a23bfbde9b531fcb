//! One round trip to the daemon, for the control commands. The shim has its
//! own, without a runtime or a library.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use molecule_protocol::answer::{Answer, Word};
use molecule_protocol::limits::{CLIENT_DEADLINE, MAX_REQUEST};
use molecule_protocol::line::Writer;
use molecule_protocol::request::Request;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket};
use nix::sys::time::TimeVal;
use nix::unistd::Uid;
use zeroize::Zeroizing;

use crate::clock;
use crate::moment::Boot;
use crate::users::OVERFLOW;

/// The longest answer that is read: `status` of many credentials.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// How long to wait before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// No socket, or nobody serves it.
    NotServed { path: PathBuf, error: io::Error },
    /// The kernel, or a sandbox, forbids it.
    Forbidden { path: PathBuf, error: io::Error },
    /// The daemon doesn't let this user ask.
    Denied,
    /// Whoever serves the socket is none of those who may.
    Squatted { path: PathBuf, uid: Uid },
    /// It didn't answer in time.
    Silent { path: PathBuf },
    /// It answered with what this version doesn't understand.
    Foreign,
}

/// A whole answer.
pub struct Reply(Zeroizing<Vec<u8>>);

impl Reply {
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        Answer::parse(&self.0).unwrap_or(Answer { word: Word::Malformed, body: &[] })
    }

    /// The value of a line, as text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.answer().value(key)?).ok()
    }

    /// All reasons that were given, a line each.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons = self.answer().lines().filter_map(|line| line.strip_prefix(b"reason="));
        reasons.map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n")
    }
}

/// Asks once. A connection that is lost without an answer is tried again until
/// the deadline: that is what a daemon that was just restarted looks like.
///
/// # Errors
/// [`ClientError`].
pub fn ask(path: &Path, request: &Request<'_>) -> Result<Reply, ClientError> {
    let mut buffer = [0; MAX_REQUEST];
    let mut frame = Writer::new(&mut buffer);
    request.write(&mut frame).map_err(|_| ClientError::Foreign)?;
    let deadline = clock::now().boot + CLIENT_DEADLINE;
    loop {
        let stream = dial(path, deadline)?;
        match exchange(stream, frame.written(), deadline) {
            Ok(bytes) if Answer::parse(&bytes).is_some_and(|a| a.word == Word::Denied) => {
                return Err(ClientError::Denied);
            }
            Ok(bytes) if Answer::parse(&bytes).is_some() => return Ok(Reply(bytes)),
            Ok(bytes) if !bytes.is_empty() && bytes.ends_with(b"\n\n") => return Err(ClientError::Foreign),
            _ if clock::now().boot + PAUSE >= deadline => return Err(ClientError::Silent { path: path.to_owned() }),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

fn dial(path: &Path, deadline: Boot) -> Result<UnixStream, ClientError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Forbidden { path: path.to_owned(), error },
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Silent { path: path.to_owned() },
        _ => ClientError::NotServed { path: path.to_owned(), error },
    };
    let stream = connected(path, deadline).map_err(failed)?;
    let server = getsockopt(&stream, PeerCredentials).map_err(|e| failed(e.into()))?;
    let uid = Uid::from_raw(server.uid());
    if trusted(path, uid) { Ok(stream) } else { Err(ClientError::Squatted { path: path.to_owned(), uid }) }
}

/// connect(2) waits for room in a full line for as long as a send may take.
fn connected(path: &Path, deadline: Boot) -> io::Result<UnixStream> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let left = deadline.saturating_sub(clock::now().boot).max(PAUSE);
    setsockopt(&fd, SendTimeout, &TimeVal::new(left.as_secs() as i64, i64::from(left.subsec_micros())))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

/// The daemon is root, ourselves, or the owner of a folder that nobody else
/// may write to: a socket that somebody else put there must not feed us.
fn trusted(path: &Path, uid: Uid) -> bool {
    let folder = || path.parent().and_then(|p| std::fs::symlink_metadata(p).ok()).filter(std::fs::Metadata::is_dir);
    uid.is_root() || uid == Uid::effective() || folder().is_some_and(|f| owns_alone(uid, f.uid(), f.mode()))
}

/// The overflow uid is everybody whom this user namespace doesn't map.
fn owns_alone(uid: Uid, owner: u32, mode: u32) -> bool {
    uid.as_raw() == owner && uid != OVERFLOW && mode & 0o022 == 0
}

fn exchange(mut stream: UnixStream, request: &[u8], deadline: Boot) -> io::Result<Zeroizing<Vec<u8>>> {
    // A daemon that refuses us may have closed already: its line is there.
    let _ = stream.write_all(request);
    let left = deadline.saturating_sub(clock::now().boot).max(PAUSE);
    stream.set_read_timeout(Some(left))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    match stream.take(MAX_DOCUMENT).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // Reset after its answer: what counts is whether that is whole.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(bytes),
        Err(error) => Err(error),
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed { path, error } => {
                write!(
                    f,
                    "no broker answers at {} ({error}); if none was started, do so: molecule-broker serve, or in a container \
                     molecule-broker supervise as its entrypoint; else set MOLECULE_BROKER_SOCKET to its socket",
                    path.display()
                )
            }
            Self::Forbidden { path, error } => write!(
                f,
                "the broker's socket {} may not be used from here ({error}); if this is an agent's sandbox, allow it Unix sockets, \
                 else look at the modes of the socket and its folder",
                path.display()
            ),
            Self::Denied => write!(
                f,
                "the broker doesn't answer uid {}; if it should, add that to allow_users below [socket] in the configuration file and run: \
                 molecule-broker reload (or to MOLECULE_BROKER_ALLOW_USERS, which a daemon reads at its start only, so restart the container)",
                Uid::effective()
            ),
            Self::Squatted { path, uid } => write!(
                f,
                "uid {uid} serves {}, which is neither root, nor this user, nor the owner of a folder closed to others; don't trust it",
                path.display()
            ),
            Self::Silent { path } => write!(
                f,
                "the broker at {} didn't answer within {CLIENT_DEADLINE:?}; look at its log: if the daemon can't start for its configuration, \
                 mend that (molecule-broker config names its faults), and under supervise it is started by itself within 30 s",
                path.display()
            ),
            Self::Foreign => f.write_str(
                "the daemon speaks another version of the protocol than this molecule-broker; it was started before an upgrade: restart the container",
            ),
        }
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d25_a_server_counts_by_its_folder_only_if_that_is_its_own_alone() {
        let someone = Uid::from_raw(1000);
        assert!(owns_alone(someone, 1000, 0o40755));
        assert!(!owns_alone(someone, 1001, 0o40755));
        assert!(!owns_alone(someone, 1000, 0o40775) && !owns_alone(someone, 1000, 0o41777));
        assert!(!owns_alone(OVERFLOW, OVERFLOW.as_raw(), 0o40755));
    }
}
