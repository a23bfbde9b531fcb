//! One round trip to the daemon, for the control commands. The shim has its
//! own, without a runtime or a library.

pub(crate) mod trust;

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use molecule_protocol::answer::{Answer, AnswerWord};
use molecule_protocol::limits::{CLIENT_DEADLINE, MAX_REQUEST};
use molecule_protocol::line::MessageWriter;
use molecule_protocol::namespace::OverflowMeaning;
use molecule_protocol::request::Request;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket};
use nix::sys::time::TimeVal;
use nix::unistd::Uid;
use zeroize::Zeroizing;

use crate::system::clock;
use crate::system::time::Boot;
use crate::system::users::OVERFLOW;

/// The longest answer that is read: `status` of many credentials.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// Pause before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// There is no socket, or no process serves it.
    NotRunning { path: PathBuf, error: io::Error },
    /// This process may not open Unix sockets at all.
    SocketsForbidden(io::Error),
    /// The kernel, or a sandbox, forbids this socket.
    PermissionDenied { path: PathBuf, error: io::Error },
    /// The daemon doesn't let this user ask.
    Denied,
    /// The server's user is none of those whose answer counts.
    UntrustedServer { path: PathBuf, uid: Uid },
    /// It didn't answer in time.
    TimedOut { path: PathBuf },
    /// It answered with what this version doesn't understand.
    InvalidReply,
}

/// A whole answer.
pub struct DaemonReply(Zeroizing<Vec<u8>>);

impl DaemonReply {
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        Answer::parse(&self.0).unwrap_or(Answer { word: AnswerWord::Malformed, body: &[] })
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
pub fn ask(path: &Path, request: &Request<'_>) -> Result<DaemonReply, ClientError> {
    let mut buffer = [0; MAX_REQUEST];
    let mut frame = MessageWriter::new(&mut buffer);
    request.write(&mut frame).map_err(|_| ClientError::InvalidReply)?;
    let deadline = clock::now().boot + CLIENT_DEADLINE;
    loop {
        let stream = dial(path, deadline)?;
        match exchange(stream, frame.written(), deadline) {
            Ok(bytes) if Answer::parse(&bytes).is_some_and(|a| a.word == AnswerWord::Denied) => {
                return Err(ClientError::Denied);
            }
            Ok(bytes) if Answer::parse(&bytes).is_some() => return Ok(DaemonReply(bytes)),
            Ok(bytes) if !bytes.is_empty() && bytes.ends_with(b"\n\n") => return Err(ClientError::InvalidReply),
            _ if clock::now().boot + PAUSE >= deadline => return Err(ClientError::TimedOut { path: path.to_owned() }),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

fn dial(path: &Path, deadline: Boot) -> Result<UnixStream, ClientError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => ClientError::PermissionDenied { path: path.to_owned(), error },
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut { path: path.to_owned() },
        _ => ClientError::NotRunning { path: path.to_owned(), error },
    };
    let fd = unconnected()?;
    let stream = connected(fd, path, deadline).map_err(failed)?;
    let server = getsockopt(&stream, PeerCredentials).map_err(|e| failed(e.into()))?;
    let uid = Uid::from_raw(server.uid());
    let trusted = trust::is_trusted(uid, Uid::effective(), path);
    if trusted { Ok(stream) } else { Err(ClientError::UntrustedServer { path: path.to_owned(), uid }) }
}

/// Makes a Unix socket, which some sandboxes forbid.
///
/// # Errors
/// [`ClientError::SocketsForbidden`].
pub fn unconnected() -> Result<OwnedFd, ClientError> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| ClientError::SocketsForbidden(errno.into()))
}

/// connect(2) waits for room in a full line for as long as a send may take.
fn connected(fd: OwnedFd, path: &Path, deadline: Boot) -> io::Result<UnixStream> {
    let left = deadline.saturating_sub(clock::now().boot).max(PAUSE);
    setsockopt(&fd, SendTimeout, &TimeVal::new(left.as_secs() as i64, i64::from(left.subsec_micros())))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
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

impl ClientError {
    /// Says what happened, and where.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::NotRunning { path, error } => format!("no broker answers at {} ({error})", path.display()),
            Self::SocketsForbidden(error) => {
                format!("this process may not open Unix sockets ({error}): most likely an agent's sandbox forbids them")
            }
            Self::PermissionDenied { path, error } => {
                format!("the broker's socket {} may not be used from here ({error})", path.display())
            }
            Self::Denied => format!("the broker doesn't answer uid {}", Uid::effective()),
            Self::UntrustedServer { path, uid } if is_unmapped(*uid) => format!(
                "in this user namespace (most likely an agent's sandbox) the server of {} shows as uid {uid}, as every user \
                 does that the namespace doesn't map, and the socket's path can be changed by a user who isn't root",
                path.display()
            ),
            Self::UntrustedServer { path, uid } => format!(
                "uid {uid} serves {}, which is neither root, nor this user, nor the owner of a folder closed to others",
                path.display()
            ),
            Self::TimedOut { path } => {
                format!("the broker at {} didn't answer within {CLIENT_DEADLINE:?}", path.display())
            }
            Self::InvalidReply => "the daemon speaks another version of the protocol than this molecule-broker".into(),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } => {
                "if none was started, do so: molecule-broker serve, or in a container molecule-broker supervise as its \
                 entrypoint; else set MOLECULE_BROKER_SOCKET to its socket"
            }
            Self::SocketsForbidden(_) => "allow Unix sockets in the sandbox's settings, or run git and gh outside it",
            Self::PermissionDenied { .. } => {
                "if this is an agent's sandbox, allow it Unix sockets, else look at the modes of the socket and its folder"
            }
            Self::Denied => {
                "if it should, add that uid to allow_users below [socket] in the configuration file and run: \
                 molecule-broker reload (or to MOLECULE_BROKER_ALLOW_USERS, which a daemon reads at its start only, so \
                 restart the container)"
            }
            Self::UntrustedServer { uid, .. } if is_unmapped(*uid) => {
                "let the sandbox show / read-only (bwrap --ro-bind / /) and keep the socket in folders that only root or the \
                 daemon's user can write to, as /run/molecule-broker, or run this command outside the sandbox"
            }
            Self::UntrustedServer { .. } => "don't trust it: find out who started it, and stop that program",
            Self::TimedOut { .. } => {
                "look at its log: if the daemon can't start for its configuration, mend that (molecule-broker config names \
                 its faults), and under supervise it is started by itself within 30 s"
            }
            Self::InvalidReply => "it was started before an upgrade: restart the container",
        }
    }
}

/// True for the uid of every user that this process's user namespace doesn't
/// map.
fn is_unmapped(uid: Uid) -> bool {
    uid == OVERFLOW && trust::overflow() != OverflowMeaning::User
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what(), self.remedy())
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotRunning { error, .. } | Self::PermissionDenied { error, .. } | Self::SocketsForbidden(error) => {
                Some(error)
            }
            Self::Denied | Self::UntrustedServer { .. } | Self::TimedOut { .. } | Self::InvalidReply => None,
        }
    }
}
