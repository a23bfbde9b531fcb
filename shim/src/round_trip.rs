//! One request and one answer within one deadline.
//!
//! If a connection is lost without a whole answer, the daemon was killed, and the
//! same request is sent again. If no process listens on the socket, the shim retries
//! to connect for a moment, in case a daemon is about to start.

use core::time::Duration;

use crate::deadline::{AnswerDeadline, ClientError, read_answer};
use crate::fallback;
use crate::protocol::answer::Answer;
use crate::protocol::limits::{MAX_ANSWER, REFUSED_DEADLINE};
use crate::socket_path::SocketPath;
use crate::sys::{self, Errno, ProcessStart};

/// Asks the daemon, or the fallback if no daemon serves. Sets `socket_path` to the
/// socket that was tried last.
pub(crate) fn ask_broker<'b>(
    start: &ProcessStart<'_>,
    socket_path: &mut SocketPath,
    request: &[u8],
    buffer: &'b mut [u8; MAX_ANSWER],
) -> Result<Answer<'b>, ClientError> {
    let deadline = AnswerDeadline::new();
    let length = match connect_with_retry(start, socket_path, request, deadline, buffer) {
        Err(ClientError::NotRunning) => fallback::answer(start, request, deadline, buffer)?,
        result => result?,
    };
    Answer::parse(&buffer[..length]).ok_or(ClientError::InvalidReply)
}

/// Sends a request without waiting for its outcome.
pub(crate) fn send_without_waiting(start: &ProcessStart<'_>, socket_path: &mut SocketPath, request: &[u8]) {
    let _ = attempt_once(start, socket_path, request, None);
}

/// The reason why one attempt gave no answer.
enum AttemptError {
    /// There is no socket at this path.
    Absent,
    /// No process listens on the socket.
    Refused,
    /// The server is busy, or closed the connection without a whole answer. Another
    /// attempt may succeed.
    Lost,
    /// Another attempt would fail too.
    Final(ClientError),
}

fn connect_with_retry(
    start: &ProcessStart<'_>,
    socket_path: &mut SocketPath,
    request: &[u8],
    deadline: AnswerDeadline,
    buffer: &mut [u8],
) -> Result<usize, ClientError> {
    const LONGEST_PAUSE: Duration = Duration::from_millis(64);
    let mut pause = Duration::from_millis(2);
    let mut refused_at = None;
    loop {
        match attempt_once(start, socket_path, request, Some((deadline, &mut *buffer))) {
            Ok(length) => return Ok(length),
            Err(AttemptError::Final(failure)) => return Err(failure),
            Err(AttemptError::Absent) => {
                *socket_path = socket_path.next(start).ok_or(ClientError::NotRunning)?;
                continue;
            }
            Err(AttemptError::Refused) => {
                let now = sys::now();
                if now - *refused_at.get_or_insert(now) >= REFUSED_DEADLINE {
                    return Err(ClientError::NotRunning);
                }
            }
            Err(AttemptError::Lost) => refused_at = None,
        }
        if deadline.remaining() < pause {
            return Err(ClientError::TimedOut);
        }
        sys::pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn attempt_once(
    start: &ProcessStart<'_>,
    socket_path: &SocketPath,
    request: &[u8],
    answer: Option<(AnswerDeadline, &mut [u8])>,
) -> Result<usize, AttemptError> {
    let path = socket_path.path().ok_or(AttemptError::Absent)?;
    let socket = sys::socket().map_err(|errno| match errno {
        Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT => AttemptError::Final(ClientError::SocketsForbidden(errno)),
        // Out of descriptors or memory, which doesn't last.
        _ => AttemptError::Lost,
    })?;
    sys::connect(&socket, path).map_err(|errno| match errno {
        Errno::ECONNREFUSED => AttemptError::Refused,
        Errno::EAGAIN | Errno::EINTR => AttemptError::Lost,
        Errno::EPERM | Errno::EACCES => AttemptError::Final(ClientError::PermissionDenied(errno)),
        _ => AttemptError::Absent,
    })?;
    let peer = sys::peer_credentials(&socket).map_err(|_| AttemptError::Lost)?;
    if !socket_path.trusts(peer, start.euid) {
        return Err(AttemptError::Final(ClientError::UntrustedServer(peer.uid)));
    }
    // The daemon answers `denied` and closes the connection before it reads the
    // request. So there may be an answer even if sending fails.
    let _ = sys::send(&socket, request);
    match answer {
        None => Ok(0),
        Some((deadline, buffer)) => receive(&socket, deadline, buffer),
    }
}

fn receive(socket: &sys::Fd, deadline: AnswerDeadline, buffer: &mut [u8]) -> Result<usize, AttemptError> {
    match read_answer(socket, deadline, buffer) {
        Ok(length) if Answer::parse(&buffer[..length]).is_some() => Ok(length),
        Ok(_) => Err(AttemptError::Lost),
        Err(failure) => Err(AttemptError::Final(failure)),
    }
}
