//! When the next daemon is started after one has ended. Pure.
//!
//! The first restart is immediate. Who ran well for a while is forgiven all
//! that was before; who serves and dies in a row is kept apart by no more than
//! a client waits; who never gets ready waits longer. Nobody is given up.

use std::time::Duration;

const RAN_WELL: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_ONCE_READY: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    failures: u32,
}

impl Pace {
    /// How long to wait after an end. `served` is for how long it was ready;
    /// `None` if it never was.
    pub fn after(&mut self, served: Option<Duration>) -> Duration {
        if served.is_some_and(|served| served >= RAN_WELL) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let most = if served.is_some() { MOST_ONCE_READY } else { MOST };
        match self.failures.checked_sub(2) {
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
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..40).map(|_| pace.after(None)).collect();
        assert_eq!(pauses[0], Duration::ZERO);
        assert_eq!(pauses[1..4], [100, 200, 400].map(Duration::from_millis));
        assert!(pauses.is_sorted() && pauses[39] == MOST);
    }

    #[test]
    fn one_that_serves_is_back_within_a_second_however_often_it_is_killed() {
        let mut pace = Pace::default();
        for _ in 0..1000 {
            assert!(pace.after(Some(Duration::ZERO)) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn one_that_ran_well_is_replaced_at_once() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.after(None);
        }
        assert_eq!(pace.after(Some(RAN_WELL)), Duration::ZERO);
    }
}
