//! Peer credentials of a connection, and the decision on whether that user may send requests.
//!
//! The decision is made from the credentials at the time of connecting (unix(7), `SO_PEERCRED`),
//! before a byte is read. The pid is for the audit line and has no influence on it.

use nix::unistd::Uid;

use crate::system::users::OVERFLOW;

/// Peer credentials of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: Uid,
    pub pid: i32,
}

/// Users that may send requests, besides root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The daemon's own user.
    pub own: Option<Uid>,
    /// The users that the configuration lists.
    pub listed: Vec<Uid>,
}

/// Decision on a peer.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerVerdict {
    Admitted,
    Denied,
}

impl Admission {
    /// Decides whether this user may send requests. The overflow uid stands for every user that the
    /// namespace doesn't map, so it is admitted only if it is listed, even if the daemon has it
    /// too.
    pub fn judge(&self, uid: Uid) -> PeerVerdict {
        let ours = uid.is_root() || self.own == Some(uid) && uid != OVERFLOW;
        if ours || self.listed.contains(&uid) { PeerVerdict::Admitted } else { PeerVerdict::Denied }
    }

    /// True for an operator: a user that may change how the daemon runs.
    #[must_use]
    pub fn is_operator(&self, uid: Uid) -> bool {
        uid.is_root() || self.own == Some(uid)
    }

    /// Returns the uids that may send requests, for the log line about a denied one.
    #[must_use]
    pub fn expected(&self) -> String {
        let mut uids: Vec<String> =
            [Uid::from_raw(0)].iter().chain(&self.own).chain(&self.listed).map(ToString::to_string).collect();
        uids.dedup();
        uids.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission { own: Some(Uid::from_raw(998)), listed: vec![Uid::from_raw(1000)] }
    }

    #[test]
    fn rule24_only_root_the_daemons_user_and_those_listed_may_ask() {
        for (uid, verdict) in [
            (0, PeerVerdict::Admitted),
            (998, PeerVerdict::Admitted),
            (1000, PeerVerdict::Admitted),
            (1001, PeerVerdict::Denied),
            (65534, PeerVerdict::Denied),
            (u32::MAX, PeerVerdict::Denied),
        ] {
            assert_eq!(admission().judge(Uid::from_raw(uid)), verdict, "uid {uid}");
        }
    }

    #[test]
    fn rule24_the_daemons_own_overflow_uid_is_denied_unless_listed() {
        let own = Admission { own: Some(OVERFLOW), listed: vec![] };
        assert_eq!(own.judge(OVERFLOW), PeerVerdict::Denied);
        let listed = Admission { own: None, listed: vec![OVERFLOW] };
        assert_eq!(listed.judge(OVERFLOW), PeerVerdict::Admitted);
    }

    #[test]
    fn those_who_may_ask_are_named_once_each() {
        assert_eq!(admission().expected(), "0, 998, 1000");
        let root = Admission { own: Some(Uid::from_raw(0)), listed: vec![Uid::from_raw(7)] };
        assert_eq!(root.expected(), "0, 7");
    }

    #[test]
    fn only_root_and_the_daemons_user_operate_it() {
        assert!(admission().is_operator(Uid::from_raw(0)) && admission().is_operator(Uid::from_raw(998)));
        assert!(!admission().is_operator(Uid::from_raw(1000)));
    }
}
