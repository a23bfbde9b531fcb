//! One request and one answer within one deadline.
//!
//! A connection that is lost without a whole answer means that the daemon was
//! killed: the same request is sent again. If no process listens on the socket,
//! connecting is retried for a moment, in case a daemon is about to start.

use core::time::Duration;

use crate::deadline::{Deadline, Failure, read_answer};
use crate::fallback;
use crate::protocol::answer::Answer;
use crate::protocol::limits::{MAX_ANSWER, REFUSED_DEADLINE};
use crate::socket_path::SocketPath;
use crate::sys::{self, Errno, Start};

/// Asks the daemon, or where there is none, the fallback. `place` becomes the
/// socket that was tried last.
pub(crate) fn ask<'b>(
    start: &Start<'_>,
    place: &mut SocketPath,
    request: &[u8],
    buffer: &'b mut [u8; MAX_ANSWER],
) -> Result<Answer<'b>, Failure> {
    let deadline = Deadline::new();
    let length = match connect_with_retry(start, place, request, deadline, buffer) {
        Err(Failure::NotRunning) => fallback::answer(start, request, deadline, buffer)?,
        result => result?,
    };
    Answer::parse(&buffer[..length]).ok_or(Failure::InvalidReply)
}

/// Sends a request without waiting for its outcome.
pub(crate) fn tell(start: &Start<'_>, place: &mut SocketPath, request: &[u8]) {
    let _ = attempt(start, place, request, None);
}

enum Trouble {
    /// No socket there.
    Absent,
    /// A socket on which no process listens.
    Refused,
    /// Busy, or gone without a whole answer: worth another attempt.
    Lost,
    Final(Failure),
}

fn connect_with_retry(
    start: &Start<'_>,
    place: &mut SocketPath,
    request: &[u8],
    deadline: Deadline,
    buffer: &mut [u8],
) -> Result<usize, Failure> {
    const LONGEST_PAUSE: Duration = Duration::from_millis(64);
    let mut pause = Duration::from_millis(2);
    let mut refused_at = None;
    loop {
        match attempt(start, place, request, Some((deadline, &mut *buffer))) {
            Ok(length) => return Ok(length),
            Err(Trouble::Final(failure)) => return Err(failure),
            Err(Trouble::Absent) => {
                *place = place.next(start).ok_or(Failure::NotRunning)?;
                continue;
            }
            Err(Trouble::Refused) => {
                let now = sys::now();
                if now - *refused_at.get_or_insert(now) >= REFUSED_DEADLINE {
                    return Err(Failure::NotRunning);
                }
            }
            Err(Trouble::Lost) => refused_at = None,
        }
        if deadline.left() < pause {
            return Err(Failure::TimedOut);
        }
        sys::pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn attempt(
    start: &Start<'_>,
    place: &SocketPath,
    request: &[u8],
    answer: Option<(Deadline, &mut [u8])>,
) -> Result<usize, Trouble> {
    let path = place.path().ok_or(Trouble::Absent)?;
    let socket = sys::socket().map_err(|errno| match errno {
        Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT => Trouble::Final(Failure::SocketsForbidden(errno)),
        // Out of descriptors or memory: that passes.
        _ => Trouble::Lost,
    })?;
    sys::connect(&socket, path).map_err(|errno| match errno {
        Errno::ECONNREFUSED => Trouble::Refused,
        Errno::EAGAIN | Errno::EINTR => Trouble::Lost,
        Errno::EPERM | Errno::EACCES => Trouble::Final(Failure::PermissionDenied(errno)),
        _ => Trouble::Absent,
    })?;
    let peer = sys::peer(&socket).map_err(|_| Trouble::Lost)?;
    if !place.trusts(peer, start.euid) {
        return Err(Trouble::Final(Failure::UntrustedServer(peer.uid)));
    }
    // A user who may not ask is told so and the connection closed before the
    // request is read: whatever becomes of the request, there may be an answer.
    let _ = sys::send(&socket, request);
    match answer {
        None => Ok(0),
        Some((deadline, buffer)) => receive(&socket, deadline, buffer),
    }
}

fn receive(socket: &sys::Fd, deadline: Deadline, buffer: &mut [u8]) -> Result<usize, Trouble> {
    match read_answer(socket, deadline, buffer) {
        Ok(length) if Answer::parse(&buffer[..length]).is_some() => Ok(length),
        Ok(_) => Err(Trouble::Lost),
        Err(failure) => Err(Trouble::Final(failure)),
    }
}
