//! The choice of the token that the platform returns: a new one for each call,
//! or a shared one that the platform renews shortly before expiry.

use std::time::{Duration, SystemTime};

use crate::ledger::{Ledger, MintedToken};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintPolicy {
    MintPerCall,
    /// One token for all callers, renewed at the first request when less than
    /// this is left. The real platform renews at 5 of 60 minutes.
    Cached {
        renew_before: Duration,
    },
}

impl MintPolicy {
    /// Returns the real platform's policy, in proportion to this life.
    pub fn cached_like_the_real_one(life: Duration) -> Self {
        Self::Cached { renew_before: life / 12 }
    }
}

pub(crate) struct Cache {
    pub(crate) life: Duration,
    pub(crate) policy: MintPolicy,
    pub(crate) repeat: bool,
    current: Option<MintedToken>,
}

impl Cache {
    pub(crate) fn new(life: Duration, policy: MintPolicy) -> Self {
        Self { life, policy, repeat: false, current: None }
    }

    pub(crate) fn put(&mut self, ledger: &Ledger, left: Duration) -> MintedToken {
        self.current.insert(ledger.mint(left)).clone()
    }

    pub(crate) fn token(&mut self, ledger: &Ledger) -> MintedToken {
        match (&self.current, self.policy) {
            (Some(current), _) if self.repeat => current.clone(),
            (Some(current), MintPolicy::Cached { renew_before }) if left(current) > renew_before => current.clone(),
            _ => self.put(ledger, self.life),
        }
    }
}

fn left(token: &MintedToken) -> Duration {
    token.expires.duration_since(SystemTime::now()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;

    #[test]
    fn a_cached_token_is_renewed_at_the_first_request_in_its_window() {
        let ledger = Ledger::default();
        let renew_before = Duration::from_millis(900);
        let policy = MintPolicy::Cached { renew_before };
        let mut cache = Cache::new(Duration::from_secs(1), policy);
        let first = cache.token(&ledger);
        assert_eq!(cache.token(&ledger).token, first.token);
        eventually("a new token comes", Duration::from_secs(2), || cache.token(&ledger).token != first.token);
        assert!(first.expires > SystemTime::now(), "it was renewed only after its expiry");
    }

    #[test]
    fn a_forced_repeat_outlives_its_token() {
        let ledger = Ledger::default();
        let mut cache = Cache::new(Duration::ZERO, MintPolicy::MintPerCall);
        cache.repeat = true;
        assert_eq!(cache.token(&ledger).token, cache.token(&ledger).token);
    }
}
