//! The log of refused users: one line each, and then one a minute at most, so
//! that whoever is refused can't fill the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::Uid;

use crate::moment::Boot;
use crate::peer::{Admission, Peer};
use crate::quiet::Quiet;

const QUIET: Duration = Duration::from_secs(60);

/// Users remembered. Beyond that the oldest is forgotten, which costs a line.
const USERS: usize = 64;

#[derive(Default)]
pub struct Refusals(Mutex<BTreeMap<u32, Quiet>>);

impl Refusals {
    pub fn note(&self, peer: Peer, admission: &Admission, now: Boot) {
        let Some(unlogged) = self.due(peer.uid, now) else {
            return;
        };
        tracing::warn!(
            uid = peer.uid.as_raw(),
            pid = peer.pid,
            expected = admission.expected(),
            unlogged,
            "refused a user that may not ask; if it should, name it in [socket] allow_users and reload, or in MOLECULE_BROKER_ALLOW_USERS before the next start",
        );
    }

    /// Whether a line is due, and how many went without one since the last.
    fn due(&self, uid: Uid, now: Boot) -> Option<u64> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = seen.entry(uid.as_raw()).or_default().due(now, QUIET);
        if seen.len() > USERS
            && let Some(oldest) = seen.iter().min_by_key(|(_, quiet)| quiet.said()).map(|(uid, _)| *uid)
        {
            seen.remove(&oldest);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d24_a_refused_user_is_logged_once_a_minute_with_what_was_left_out() {
        let refusals = Refusals::default();
        let uid = Uid::from_raw(1001);
        let at = Duration::from_secs;
        assert_eq!(refusals.due(uid, at(1)), Some(0));
        assert_eq!(refusals.due(uid, at(2)), None);
        assert_eq!(refusals.due(uid, at(3)), None);
        assert_eq!(refusals.due(Uid::from_raw(1002), at(3)), Some(0));
        assert_eq!(refusals.due(uid, at(62)), Some(2));
    }

    #[test]
    fn the_memory_of_refused_users_is_bounded() {
        let refusals = Refusals::default();
        for uid in 0..1000 {
            refusals.due(Uid::from_raw(uid), Duration::from_secs(1));
        }
        assert!(refusals.0.lock().unwrap().len() <= USERS);
    }
}
