//! An instant on both of the machine's clocks, as plain data.
//!
//! The boot-time clock counts suspended time and can't be stepped; the wall
//! clock is the one that a token's expiry is written in and can be stepped. A
//! lease lives only while both agree that it does.

use std::time::Duration;

/// Time since the machine booted, suspended time included (`CLOCK_BOOTTIME`).
pub type Boot = Duration;

/// Time since 1970-01-01T00:00:00Z (`CLOCK_REALTIME`).
pub type Wall = Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub boot: Boot,
    pub wall: Wall,
}

/// When a lease dies: the sooner of the two wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub boot: Boot,
    pub wall: Wall,
}

impl Moment {
    /// This instant `later`, on a machine whose clocks run alike.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self { boot: self.boot + later, wall: self.wall + later }
    }
}

impl Deadline {
    /// The deadline `life` from `now` on both clocks.
    #[must_use]
    pub fn after(now: Moment, life: Duration) -> Self {
        Self { boot: now.boot + life, wall: now.wall + life }
    }

    /// What is left: the smaller of what the two clocks say, zero once dead.
    #[must_use]
    pub fn left(&self, now: Moment) -> Duration {
        self.boot.saturating_sub(now.boot).min(self.wall.saturating_sub(now.wall))
    }
}
