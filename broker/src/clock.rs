//! The only place that reads a clock. `clippy.toml` forbids it everywhere
//! else, so that what depends on time takes a [`Moment`] and can be tested at
//! any instant.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::moment::Moment;

/// The present on both clocks.
#[must_use]
pub fn now() -> Moment {
    Moment { boot: read(ClockId::CLOCK_BOOTTIME), wall: read(ClockId::CLOCK_REALTIME) }
}

fn read(clock: ClockId) -> Duration {
    // Both clocks exist since Linux 2.6.39 and can't fail with a valid buffer;
    // a wall clock before 1970 reads as 1970, which makes every expiry far.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}
