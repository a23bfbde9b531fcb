//! Until when an answer is waited for, and what can keep it from coming.

use core::time::Duration;

use crate::protocol::answer::Answer;
use crate::protocol::limits::CLIENT_DEADLINE;
use crate::sys::{self, Errno};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody serves, and the fallback can't be run.
    Nobody,
    /// This process may not open Unix sockets at all.
    NoSockets(Errno),
    /// This process may not connect to this one.
    NoEntry(Errno),
    /// The server is this user, whom we don't trust.
    Impostor(u32),
    Late,
    /// What came is longer than any answer.
    Garbled,
}

/// The moment at which everything ends.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    #[must_use]
    pub(crate) fn new() -> Self {
        // The end of the process belongs into its ten seconds too.
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
            Ok(false) => return Err(Failure::Late),
            Err(Errno::EINTR) => continue,
            Err(_) => break,
        }
        if used == buffer.len() {
            return Err(Failure::Garbled);
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
