//! Instants on both of the machine's clocks, as plain data.
//!
//! The boot-time clock counts suspended time and can't be stepped. The wall clock can be stepped,
//! and a token's expiry is an instant on it. A lease is live only while it is by both clocks.

use std::time::Duration;

/// Time since the machine booted, suspended time included (`CLOCK_BOOTTIME`).
pub type Boot = Duration;

/// Time since 1970-01-01T00:00:00Z (`CLOCK_REALTIME`).
pub type Wall = Duration;

/// Instant on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub boot: Boot,
    pub wall: Wall,
}

/// Expiry of a lease, on each clock. The clock that reaches it first ends the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub boot: Boot,
    pub wall: Wall,
}

impl Moment {
    /// Returns the instant that is `later` than this one, if no clock is stepped meanwhile.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self { boot: self.boot + later, wall: self.wall + later }
    }
}

impl Deadline {
    /// Returns the deadline that is `life` after `now` on both clocks.
    #[must_use]
    pub fn after(now: Moment, life: Duration) -> Self {
        Self { boot: now.boot + life, wall: now.wall + life }
    }

    /// Returns the life left at `now`: the smaller value of the two clocks, and zero after the
    /// expiry.
    #[must_use]
    pub fn left(&self, now: Moment) -> Duration {
        self.boot.saturating_sub(now.boot).min(self.wall.saturating_sub(now.wall))
    }
}
