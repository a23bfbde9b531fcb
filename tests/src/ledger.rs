//! Every token ever minted in this city, so that the git host can tell a
//! living one from a dead or an invented one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// What a token was worth at the moment it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Live,
    Expired,
    Revoked,
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Minted {
    pub token: String,
    pub minted: SystemTime,
    pub expires: SystemTime,
}

#[derive(Debug, Default)]
pub struct Ledger {
    tokens: Mutex<HashMap<String, (Minted, bool)>>,
}

impl Ledger {
    pub fn mint(&self, life: Duration) -> Minted {
        self.enter(format!("ghs_{}", random_alphanumerics(36)), life)
    }

    /// A token of this text, alive from now on.
    pub fn enter(&self, token: String, life: Duration) -> Minted {
        let minted = SystemTime::now();
        let one = Minted { token, minted, expires: minted + life };
        self.lock().insert(one.token.clone(), (one.clone(), false));
        one
    }

    pub fn verdict(&self, token: &str) -> Verdict {
        match self.lock().get(token) {
            None => Verdict::Unknown,
            Some((_, true)) => Verdict::Revoked,
            Some((one, false)) if one.expires <= SystemTime::now() => Verdict::Expired,
            Some(_) => Verdict::Live,
        }
    }

    /// Kills a token before its time, as GitHub does when an App is
    /// uninstalled.
    pub fn revoke(&self, token: &str) {
        if let Some((_, revoked)) = self.lock().get_mut(token) {
            *revoked = true;
        }
    }

    pub fn find(&self, token: &str) -> Option<Minted> {
        self.lock().get(token).map(|(one, _)| one.clone())
    }

    /// In the order of their minting.
    pub fn all(&self) -> Vec<Minted> {
        let mut all: Vec<_> = self.lock().values().map(|(one, _)| one.clone()).collect();
        all.sort_by_key(|one| one.minted);
        all
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Minted, bool)>> {
        self.tokens.lock().expect("no holder of this lock panics")
    }
}

pub fn random_alphanumerics(count: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes");
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;

    #[test]
    fn a_token_lives_until_its_expiry_and_is_dead_after() {
        let ledger = Ledger::default();
        let one = ledger.mint(Duration::from_millis(80));
        assert_eq!(ledger.verdict(&one.token), Verdict::Live);
        eventually("the token dies", Duration::from_secs(2), || ledger.verdict(&one.token) == Verdict::Expired);
        assert!(SystemTime::now() >= one.expires);
    }

    #[test]
    fn a_revoked_token_and_an_invented_one_are_told_apart() {
        let ledger = Ledger::default();
        let one = ledger.mint(Duration::from_secs(60));
        ledger.revoke(&one.token);
        assert_eq!(ledger.verdict(&one.token), Verdict::Revoked);
        assert_eq!(ledger.verdict("ghs_invented"), Verdict::Unknown);
    }
}
