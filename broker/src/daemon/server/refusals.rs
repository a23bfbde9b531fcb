//! The log of denied users: at first one line for each user, then at most one a minute, and
//! for a limited number of users a minute, so that denied users can't fill the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use nix::unistd::Uid;

use crate::system::log_limit::{LogLimiter, MINUTE};
use crate::system::peer::{Admission, Peer};
use crate::system::time::Boot;

/// Largest number of users that are remembered. If all of them got a line within the last
/// minute, a further user gets none.
const USERS: usize = 64;

#[derive(Default)]
pub struct DenialLog(Mutex<DenialCounts>);

#[derive(Default)]
struct DenialCounts {
    users: BTreeMap<u32, LogLimiter>,
    /// Number of denials without a line, of users that aren't remembered.
    others: u64,
}

impl DenialLog {
    /// Logs that this peer was denied, if a line is due.
    pub fn log_denial(&self, peer: Peer, admission: &Admission, now: Boot) {
        let Some(unlogged) = self.due(peer.uid, now) else {
            return;
        };
        tracing::warn!(
            uid = peer.uid.as_raw(),
            pid = peer.pid,
            expected = admission.expected(),
            unlogged,
            "denied a user that isn't allowed; to allow it, add it to [socket] allow_users and reload, or to MOLECULE_BROKER_ALLOW_USERS before the next start",
        );
    }

    /// Returns the number of denials since the user's last line if a line is due,
    /// otherwise `None`.
    fn due(&self, uid: Uid, now: Boot) -> Option<u64> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.users.contains_key(&uid.as_raw()) && seen.users.len() == USERS && !seen.forget_one(now) {
            seen.others += 1;
            return None;
        }
        let unlogged = seen.users.entry(uid.as_raw()).or_default().due(now, MINUTE)?;
        Some(unlogged + std::mem::take(&mut seen.others))
    }
}

impl DenialCounts {
    /// Forgets the user with the oldest line, if that line is at least a minute old. Returns true
    /// if it did.
    fn forget_one(&mut self, now: Boot) -> bool {
        let oldest = self.users.iter().min_by_key(|(_, lines)| lines.said()).map(|(uid, lines)| (*uid, lines.said()));
        match oldest {
            Some((uid, last)) if last.is_none_or(|last| now >= last + MINUTE) => self.users.remove(&uid).is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rule24_a_denied_user_is_logged_once_a_minute() {
        let denials = DenialLog::default();
        let uid = Uid::from_raw(1001);
        let at = Duration::from_secs;
        assert_eq!(denials.due(uid, at(1)), Some(0));
        assert_eq!(denials.due(uid, at(2)), None);
        assert_eq!(denials.due(uid, at(3)), None);
        assert_eq!(denials.due(Uid::from_raw(1002), at(3)), Some(0));
        assert_eq!(denials.due(uid, at(62)), Some(2));
    }

    /// A user with a range of uids (newuidmap(1)) could use a different uid for each connection.
    #[test]
    fn rule24_lines_and_memory_for_denied_users_are_bounded() {
        let denials = DenialLog::default();
        let lines = |at| (0..1000).filter_map(|uid| denials.due(Uid::from_raw(uid), at)).collect::<Vec<_>>();
        assert_eq!(lines(Duration::from_secs(1)), [0; USERS]);
        let later = lines(Duration::from_secs(62));
        assert_eq!(later.len(), USERS);
        assert_eq!(later.iter().sum::<u64>(), 1000 - USERS as u64, "the rest is counted");
        assert_eq!(denials.0.lock().unwrap().users.len(), USERS);
    }
}
