//! Detects users that ask unusually often: a loop that retries without end, or a user that
//! collects tokens. They are still served; a log line once a minute and a counter report them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::Uid;

use crate::system::time::Boot;

/// Largest usual number of requests of one user in a minute. A busy build with submodules
/// makes a few hundred.
pub const USUAL: u32 = 1_000;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Rates(Mutex<BTreeMap<u32, Window>>);

struct Window {
    began: Boot,
    requests: u32,
}

impl Rates {
    /// Counts one request. Returns true for the first request of a minute that exceeds the
    /// usual number. Only admitted users are counted, so the map stays small.
    pub fn is_unusual(&self, uid: Uid, now: Boot) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(uid.as_raw()).or_insert(Window { began: now, requests: 0 });
        if now >= window.began + MINUTE {
            *window = Window { began: now, requests: 0 };
        }
        window.requests = window.requests.saturating_add(1);
        window.requests == USUAL + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_requests_of_one_user_are_reported_once_a_minute() {
        let (rates, uid) = (Rates::default(), Uid::from_raw(1000));
        let reported = |second| (0..3 * USUAL).filter(|_| rates.is_unusual(uid, Duration::from_secs(second))).count();
        assert_eq!((reported(0), reported(59), reported(60), reported(61)), (1, 0, 1, 0));
    }

    #[test]
    fn users_are_counted_apart() {
        let rates = Rates::default();
        let unusual = (0..USUAL * 2).any(|n| rates.is_unusual(Uid::from_raw(n % 2), Duration::ZERO));
        assert!(!unusual);
    }
}
