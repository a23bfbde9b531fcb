//! The deadline for an answer, and the failures that prevent one.

use core::time::Duration;

use crate::protocol::answer::Answer;
use crate::protocol::limits::CLIENT_DEADLINE;
use crate::sys::{self, Errno};

/// Reason for a missing answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No daemon serves, and the fallback can't be run.
    NotRunning,
    /// This process may not open Unix sockets at all.
    SocketsForbidden(Errno),
    /// This process may not connect to this one.
    PermissionDenied(Errno),
    /// The server runs as this user, which isn't trusted.
    UntrustedServer(u32),
    TimedOut,
    /// The reply is longer than any answer.
    InvalidReply,
}

/// The instant at which the shim gives up.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    #[must_use]
    pub(crate) fn new() -> Self {
        // The ten seconds include the end of the process.
        const MARGIN: Duration = Duration::from_millis(150);
        Self(sys::now() + CLIENT_DEADLINE - MARGIN)
    }

    #[must_use]
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(sys::now())
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads until the answer is whole or nothing more comes.
pub(crate) fn read_answer(from: &sys::Fd, deadline: Deadline, buffer: &mut [u8]) -> Result<usize, Failure> {
    let mut used = 0;
    while Answer::parse(&buffer[..used]).is_none() {
        match sys::readable(from, deadline.left()) {
            Ok(true) => {}
            Ok(false) => return Err(Failure::TimedOut),
            Err(Errno::EINTR) => continue,
            Err(_) => break,
        }
        if used == buffer.len() {
            return Err(Failure::InvalidReply);
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
