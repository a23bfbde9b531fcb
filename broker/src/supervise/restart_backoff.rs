//! When the next daemon is started after one has ended. Pure.
//!
//! The first restart is immediate. Who ran well for a while is forgiven all
//! that was before; who serves and dies, or is killed at any time, is back long
//! before a client gives up; who gives up by itself before it was ready, for
//! its configuration, is left in peace longer. The two are counted apart: after
//! ten kills a first wrong configuration, soon mended, costs no more than it
//! does by itself. Nobody is given up.

use std::time::Duration;

const RAN_WELL: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_AFTER_A_KILL: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonEnd {
    /// It was ready for so long.
    Served(Duration),
    /// A signal took it before it was.
    Killed,
    /// It ended by itself before it was.
    GaveUp,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RestartBackoff {
    /// How often it died since one ran well.
    died: u32,
    /// How often it gave up since one was ready.
    gave_up: u32,
}

impl RestartBackoff {
    /// How long to wait after this end.
    pub fn after(&mut self, end: DaemonEnd) -> Duration {
        if let DaemonEnd::Served(served) = end {
            self.gave_up = 0;
            if served >= RAN_WELL {
                self.died = 0;
            }
        }
        let (count, most) = match end {
            DaemonEnd::GaveUp => (&mut self.gave_up, MOST),
            DaemonEnd::Served(_) | DaemonEnd::Killed => (&mut self.died, MOST_AFTER_A_KILL),
        };
        *count = count.saturating_add(1);
        match count.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(20)).min(most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_and_then_pauses_grow_to_their_cap() {
        let mut pace = RestartBackoff::default();
        let pauses: Vec<_> = (0..40).map(|_| pace.after(DaemonEnd::GaveUp)).collect();
        assert_eq!(pauses[0], Duration::ZERO);
        assert_eq!(pauses[1..4], [100, 200, 400].map(Duration::from_millis));
        assert!(pauses.is_sorted() && pauses[39] == MOST);
    }

    #[test]
    fn one_that_gives_up_after_many_kills_is_back_at_once_and_is_forgiven_once_it_is_ready() {
        let mut pace = RestartBackoff::default();
        for _ in 0..20 {
            pace.after(DaemonEnd::Served(Duration::from_secs(1)));
        }
        assert_eq!(pace.after(DaemonEnd::GaveUp), Duration::ZERO);
        assert_eq!(pace.after(DaemonEnd::GaveUp), FIRST_PAUSE);
        pace.after(DaemonEnd::Killed);
        assert_eq!(pace.after(DaemonEnd::GaveUp), 2 * FIRST_PAUSE, "a kill says nothing of its configuration");
        pace.after(DaemonEnd::Served(Duration::ZERO));
        assert_eq!(pace.after(DaemonEnd::GaveUp), Duration::ZERO);
    }

    #[test]
    fn one_that_is_killed_is_back_within_a_second_however_often_it_is_killed() {
        let mut pace = RestartBackoff::default();
        for _ in 0..1000 {
            assert!(pace.after(DaemonEnd::Served(Duration::ZERO)) <= Duration::from_secs(1));
            assert!(pace.after(DaemonEnd::Killed) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn one_that_ran_well_is_replaced_at_once() {
        let mut pace = RestartBackoff::default();
        for _ in 0..10 {
            pace.after(DaemonEnd::GaveUp);
        }
        assert_eq!(pace.after(DaemonEnd::Served(RAN_WELL)), Duration::ZERO);
    }
}
