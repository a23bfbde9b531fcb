//! The deadline for an answer, and the errors that can take its place.

use core::time::Duration;

use crate::protocol::answer::Answer;
use crate::protocol::limits::CLIENT_DEADLINE;
use crate::sys::{self, Errno};

/// The reason why the shim has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientError {
    /// No daemon serves, and the fallback can't be run or gives no answer.
    NotRunning,
    /// This process isn't allowed to open Unix sockets at all.
    SocketsForbidden(Errno),
    /// This process isn't allowed to connect to the broker's socket.
    PermissionDenied(Errno),
    /// The server runs as this user, which the shim doesn't trust.
    UntrustedServer(u32),
    /// There was no whole answer before the deadline.
    TimedOut,
    /// The reply is longer than any valid answer, or isn't one.
    InvalidReply,
}

/// The instant at which the shim gives up.
#[derive(Clone, Copy)]
pub(crate) struct AnswerDeadline(Duration);

impl AnswerDeadline {
    #[must_use]
    pub(crate) fn new() -> Self {
        // The ten seconds include the time that the process takes to end.
        const MARGIN: Duration = Duration::from_millis(150);
        Self(sys::now() + CLIENT_DEADLINE - MARGIN)
    }

    #[must_use]
    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_sub(sys::now())
    }
}

impl Default for AnswerDeadline {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads until the answer is complete or the server closes the connection.
pub(crate) fn read_answer(from: &sys::Fd, deadline: AnswerDeadline, buffer: &mut [u8]) -> Result<usize, ClientError> {
    let mut used = 0;
    while Answer::parse(&buffer[..used]).is_none() {
        match sys::wait_readable(from, deadline.remaining()) {
            Ok(true) => {}
            Ok(false) => return Err(ClientError::TimedOut),
            Err(Errno::EINTR) => continue,
            Err(_) => break,
        }
        if used == buffer.len() {
            return Err(ClientError::InvalidReply);
        }
        match sys::read(from, &mut buffer[used..]) {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(Errno::EAGAIN) => {}
            Err(_) => break,
        }
    }
    Ok(used)
}
