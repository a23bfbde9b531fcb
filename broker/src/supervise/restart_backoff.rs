//! Back-off between a daemon's end and the start of the next one. Pure: no IO, no clock.
//!
//! - The first restart is immediate.
//! - A daemon that was ready and then died, or that was killed at any time, is back long before a
//!   client times out.
//! - A daemon that exits before it is ready, usually for a bad configuration, is restarted with a
//!   longer back-off.
//! - A daemon that was ready for [`STABLE_AFTER`] resets the back-off.
//! - The two kinds of end are counted separately: after ten kills, a first bad configuration that
//!   is soon corrected costs no more than it would without them.
//! - The supervisor never stops restarting.

use std::time::Duration;

/// Time after which a daemon that is ready counts as stable.
const STABLE_AFTER: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE_AFTER_DEATH: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonEnd {
    /// It had been ready for this long.
    Served(Duration),
    /// A signal killed it before it was ready.
    Killed,
    /// It exited before it was ready.
    ExitedEarly,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RestartBackoff {
    /// Deaths since the last stable daemon.
    deaths: u32,
    /// Early exits since a daemon was last ready.
    early_exits: u32,
}

impl RestartBackoff {
    /// Returns the pause between this end and the next start.
    pub fn pause_after(&mut self, end: DaemonEnd) -> Duration {
        if let DaemonEnd::Served(served) = end {
            self.early_exits = 0;
            if served >= STABLE_AFTER {
                self.deaths = 0;
            }
        }
        let (count, max) = match end {
            DaemonEnd::ExitedEarly => (&mut self.early_exits, MAX_PAUSE),
            DaemonEnd::Served(_) | DaemonEnd::Killed => (&mut self.deaths, MAX_PAUSE_AFTER_DEATH),
        };
        *count = count.saturating_add(1);
        match count.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(20)).min(max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_pauses_begin_at_zero_and_grow_to_their_cap() {
        let mut backoff = RestartBackoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.pause_after(DaemonEnd::ExitedEarly)).collect();
        assert_eq!(pauses[0], Duration::ZERO);
        assert_eq!(pauses[1..4], [100, 200, 400].map(Duration::from_millis));
        assert!(pauses.is_sorted() && pauses[39] == MAX_PAUSE);
    }

    #[test]
    fn kills_dont_count_and_readiness_resets_the_pauses() {
        let mut backoff = RestartBackoff::default();
        for _ in 0..20 {
            backoff.pause_after(DaemonEnd::Served(Duration::from_secs(1)));
        }
        assert_eq!(backoff.pause_after(DaemonEnd::ExitedEarly), Duration::ZERO);
        assert_eq!(backoff.pause_after(DaemonEnd::ExitedEarly), FIRST_PAUSE);
        backoff.pause_after(DaemonEnd::Killed);
        assert_eq!(
            backoff.pause_after(DaemonEnd::ExitedEarly),
            2 * FIRST_PAUSE,
            "a kill says nothing about the configuration"
        );
        backoff.pause_after(DaemonEnd::Served(Duration::ZERO));
        assert_eq!(backoff.pause_after(DaemonEnd::ExitedEarly), Duration::ZERO);
    }

    #[test]
    fn a_killed_daemon_is_always_back_within_a_second() {
        let mut backoff = RestartBackoff::default();
        for _ in 0..1000 {
            assert!(backoff.pause_after(DaemonEnd::Served(Duration::ZERO)) <= Duration::from_secs(1));
            assert!(backoff.pause_after(DaemonEnd::Killed) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn a_daemon_that_ran_well_is_replaced_at_once() {
        let mut backoff = RestartBackoff::default();
        for _ in 0..10 {
            backoff.pause_after(DaemonEnd::ExitedEarly);
        }
        assert_eq!(backoff.pause_after(DaemonEnd::Served(STABLE_AFTER)), Duration::ZERO);
    }
}
