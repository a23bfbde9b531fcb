//! One line of a kind now and then: whatever lasts, or whoever goes on and on,
//! must not fill the log.

use std::time::Duration;

use crate::system::time::Boot;

/// How long a shortage, or somebody who goes on and on, has no further line.
pub const MINUTE: Duration = Duration::from_secs(60);

/// What was said of one thing, and how often it went without a line since.
#[derive(Default)]
pub struct LogLimiter {
    said: Option<Boot>,
    unlogged: u64,
}

impl LogLimiter {
    /// Whether a line is due, since the last is at least so long ago, and how
    /// many went without one.
    pub fn due(&mut self, now: Boot, least: Duration) -> Option<u64> {
        if self.said.is_some_and(|said| now < said + least) {
            self.unlogged += 1;
            return None;
        }
        Some(self.begin(now))
    }

    /// A line that is due anyhow, and how many went without one.
    pub fn begin(&mut self, now: Boot) -> u64 {
        self.said = Some(now);
        std::mem::take(&mut self.unlogged)
    }

    /// When the last was said.
    #[must_use]
    pub fn said(&self) -> Option<Boot> {
        self.said
    }
}
