//! Rate limiter for log lines. A condition that lasts, or a client that goes on and on, must not
//! fill the log.

use std::time::Duration;

use crate::system::time::Boot;

/// Minimum interval between two lines about the same shortage or the same client.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Rate limiter for the log lines about one subject.
#[derive(Default)]
pub struct LogLimiter {
    /// When the last line was written.
    last_line: Option<Boot>,
    /// Number of events since then that got no line.
    unlogged: u64,
}

impl LogLimiter {
    /// Returns the number of events that got no line, if a line is due: the last one is at least
    /// `least` ago. Otherwise counts this event as one without a line.
    pub fn due(&mut self, now: Boot, least: Duration) -> Option<u64> {
        if self.last_line.is_some_and(|last| now < last + least) {
            self.unlogged += 1;
            return None;
        }
        Some(self.begin(now))
    }

    /// Records a line that is written whatever the limit. Returns the number of events before it
    /// that got no line.
    pub fn begin(&mut self, now: Boot) -> u64 {
        self.last_line = Some(now);
        std::mem::take(&mut self.unlogged)
    }

    /// Returns when the last line was written.
    #[must_use]
    pub fn said(&self) -> Option<Boot> {
        self.last_line
    }
}
