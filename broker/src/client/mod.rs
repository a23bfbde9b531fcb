//! One round trip to the daemon, for the control commands. The shim has its own implementation,
//! which needs neither a runtime nor a library.

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

/// Longest answer that is read, in bytes: the `status` of many credentials.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// Pause before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Reason why a request got no answer.
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
    /// The server runs as a user that this process doesn't trust.
    UntrustedServer { path: PathBuf, uid: Uid },
    /// The daemon didn't answer in time.
    TimedOut { path: PathBuf },
    /// This version doesn't understand the daemon's answer.
    InvalidReply,
}

/// A complete answer of the daemon.
pub struct DaemonReply(Zeroizing<Vec<u8>>);

impl DaemonReply {
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        Answer::parse(&self.0).unwrap_or(Answer { word: AnswerWord::Malformed, body: &[] })
    }

    /// Returns the value of the line with this key, if it is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.answer().value(key)?).ok()
    }

    /// Returns all reasons in the answer, each on its own line.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons = self.answer().lines().filter_map(|line| line.strip_prefix(b"reason="));
        reasons.map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n")
    }
}

/// Sends a request and returns the answer. If the connection is lost without an answer, it tries
/// again until the deadline: the daemon was probably just restarted.
///
/// # Errors
/// Returns the reason why there is no answer.
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
    let fd = create_socket()?;
    let stream = connect_socket(fd, path, deadline).map_err(failed)?;
    let server = getsockopt(&stream, PeerCredentials).map_err(|e| failed(e.into()))?;
    let uid = Uid::from_raw(server.uid());
    let trusted = trust::is_trusted(uid, Uid::effective(), path);
    if trusted { Ok(stream) } else { Err(ClientError::UntrustedServer { path: path.to_owned(), uid }) }
}

/// Creates a Unix socket that isn't connected yet. Some sandboxes forbid that.
///
/// # Errors
/// Returns [`ClientError::SocketsForbidden`].
pub fn create_socket() -> Result<OwnedFd, ClientError> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| ClientError::SocketsForbidden(errno.into()))
}

/// Connects a socket before the deadline. On a full backlog, connect(2) waits as long as the send
/// timeout allows.
fn connect_socket(fd: OwnedFd, path: &Path, deadline: Boot) -> io::Result<UnixStream> {
    let left = deadline.saturating_sub(clock::now().boot).max(PAUSE);
    setsockopt(&fd, SendTimeout, &TimeVal::new(left.as_secs() as i64, i64::from(left.subsec_micros())))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

fn exchange(mut stream: UnixStream, request: &[u8], deadline: Boot) -> io::Result<Zeroizing<Vec<u8>>> {
    // A daemon that denies this user may have closed the connection already;
    // its answer can still be read.
    let _ = stream.write_all(request);
    let left = deadline.saturating_sub(clock::now().boot).max(PAUSE);
    stream.set_read_timeout(Some(left))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    match stream.take(MAX_DOCUMENT).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // The connection was reset after the answer. The caller checks whether
        // the answer is complete.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(bytes),
        Err(error) => Err(error),
    }
}

impl ClientError {
    /// Returns what happened, and where.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::NotRunning { path, error } => format!("no broker answers at {} ({error})", path.display()),
            Self::SocketsForbidden(error) => {
                format!("this process may not open Unix sockets ({error}): most likely an agent's sandbox forbids them")
            }
            Self::PermissionDenied { path, error } => {
                format!("access to the broker's socket {} is denied ({error})", path.display())
            }
            Self::Denied => format!("the broker doesn't answer uid {}", Uid::effective()),
            Self::UntrustedServer { path, uid } if is_unmapped(*uid) => format!(
                "in this user namespace (most likely an agent's sandbox) the server of {} shows as uid {uid}, as every user \
                 does that the namespace doesn't map, and the socket's path can be changed by a user who isn't root",
                path.display()
            ),
            Self::UntrustedServer { path, uid } => format!(
                "uid {uid} serves {}, and is neither root, nor this user, nor the owner of a folder closed to others",
                path.display()
            ),
            Self::TimedOut { path } => {
                format!("the broker at {} didn't answer within {CLIENT_DEADLINE:?}", path.display())
            }
            Self::InvalidReply => "the daemon speaks another version of the protocol than this molecule-broker".into(),
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } => {
                "start one with molecule-broker serve, or in a container with molecule-broker supervise as its entrypoint; \
                 if one is running, set MOLECULE_BROKER_SOCKET to its socket"
            }
            Self::SocketsForbidden(_) => "allow Unix sockets in the sandbox's settings, or run git and gh outside it",
            Self::PermissionDenied { .. } => {
                "if this is an agent's sandbox, allow it Unix sockets, else check the modes of the socket and its folder"
            }
            Self::Denied => {
                "if it should answer, add that uid to allow_users below [socket] in the configuration file and run: \
                 molecule-broker reload (or to MOLECULE_BROKER_ALLOW_USERS, which a daemon reads at its start only, so \
                 restart the container)"
            }
            Self::UntrustedServer { uid, .. } if is_unmapped(*uid) => {
                "let the sandbox show / read-only (bwrap --ro-bind / /) and keep the socket in folders that only root or the \
                 daemon's user can write to, as /run/molecule-broker, or run this command outside the sandbox"
            }
            Self::UntrustedServer { .. } => "don't trust it: find out who started it, and stop that program",
            Self::TimedOut { .. } => {
                "read its log; if the daemon can't start because of its configuration, correct that (molecule-broker config \
                 lists the faults): supervise then starts the daemon automatically within 30 s"
            }
            Self::InvalidReply => "it was started before an upgrade: restart the container",
        }
    }
}

/// True for the uid as which all users appear that this process's user namespace doesn't map.
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
