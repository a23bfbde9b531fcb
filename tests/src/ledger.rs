//! Every token that this city ever minted, so that the git host can tell a live
//! token from a dead or an invented one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// The first bytes of every installation token.
const TOKEN_PREFIX: &str = "ghs_";
/// `{"alg":"RS256","typ":"JWT"}` in base64url, with which every such token
/// begins.
const JWT_HEAD: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
/// Length of an RS256 signature, 256 bytes, in base64url.
const JWT_SIGNATURE: usize = 342;
const SHORTEST_CLAIMS: usize = 60;
/// Number of different lengths of the claims. The whole token has 452 to 592
/// bytes: on both sides of 512, and around the 520 that GitHub names.
const CLAIMS_VARY: u32 = 141;

/// State of a token at the moment when it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenState {
    Live,
    Expired,
    Revoked,
    Unknown,
}

#[derive(Clone, Debug)]
pub struct MintedToken {
    pub token: String,
    pub minted: SystemTime,
    pub expires: SystemTime,
}

#[derive(Debug, Default)]
pub struct Ledger {
    tokens: Mutex<HashMap<String, (MintedToken, bool)>>,
    /// Number of tokens minted by [`Ledger::mint`].
    turn: AtomicUsize,
}

impl Ledger {
    /// Mints tokens of the old form (40 bytes) and of the new form in turn.
    /// GitHub rolled the new form out per minting call, so one container gets
    /// both (<https://github.blog/changelog/>, 2026-04-24 and 2026-05-15).
    pub fn mint(&self, life: Duration) -> MintedToken {
        let is_old = self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        self.register(if is_old { old_token() } else { new_token() }, life)
    }

    /// Registers a token with this text, alive from now on.
    pub fn register(&self, token: String, life: Duration) -> MintedToken {
        let minted = SystemTime::now();
        let one = MintedToken { token, minted, expires: minted + life };
        self.lock().insert(one.token.clone(), (one.clone(), false));
        one
    }

    pub fn state_of(&self, token: &str) -> TokenState {
        match self.lock().get(token) {
            None => TokenState::Unknown,
            Some((_, true)) => TokenState::Revoked,
            Some((one, false)) if one.expires <= SystemTime::now() => TokenState::Expired,
            Some(_) => TokenState::Live,
        }
    }

    /// Kills a token before its expiry, as GitHub does when an App is
    /// uninstalled.
    pub fn revoke(&self, token: &str) {
        if let Some((_, revoked)) = self.lock().get_mut(token) {
            *revoked = true;
        }
    }

    pub fn find(&self, token: &str) -> Option<MintedToken> {
        self.lock().get(token).map(|(one, _)| one.clone())
    }

    /// Returns all tokens in the order in which they were minted.
    pub fn all(&self) -> Vec<MintedToken> {
        let mut all: Vec<_> = self.lock().values().map(|(one, _)| one.clone()).collect();
        all.sort_by_key(|one| one.minted);
        all
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (MintedToken, bool)>> {
        self.tokens.lock().expect("no holder of this lock panics")
    }
}

/// True for the form of tokens that GitHub issued before 2026-04.
pub fn is_old_form(token: &str) -> bool {
    token.strip_prefix(TOKEN_PREFIX).is_some_and(|rest| !rest.contains('_'))
}

fn old_token() -> String {
    format!("{TOKEN_PREFIX}{}", random_alphanumerics(36))
}

/// `ghs_<APPID>_<JWT>`. No program may look into the JWT, so its claims are
/// random.
fn new_token() -> String {
    let app = 1_000_000 + random_number() % 9_000_000;
    let claims = random_text(SHORTEST_CLAIMS + (random_number() % CLAIMS_VARY) as usize, BASE64_URL);
    let signature = random_text(JWT_SIGNATURE, BASE64_URL);
    format!("{TOKEN_PREFIX}{app}_{JWT_HEAD}.{claims}.{signature}")
}

fn random_number() -> u32 {
    getrandom::u32().expect("the kernel has random bytes")
}

const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn random_alphanumerics(count: usize) -> String {
    random_text(count, &BASE64_URL[..62])
}

fn random_text(count: usize, alphabet: &[u8]) -> String {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes");
    bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;

    #[test]
    fn a_token_is_live_until_its_expiry_and_dead_afterwards() {
        let ledger = Ledger::default();
        let one = ledger.mint(Duration::from_millis(80));
        assert_eq!(ledger.state_of(&one.token), TokenState::Live);
        eventually("the token expires", Duration::from_secs(2), || ledger.state_of(&one.token) == TokenState::Expired);
        assert!(SystemTime::now() >= one.expires);
    }

    #[test]
    fn both_forms_come_in_turn_and_vary_in_length() {
        let ledger = Ledger::default();
        let tokens: Vec<_> = (0..40).map(|_| ledger.mint(Duration::from_secs(60)).token).collect();
        let (old, new): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| is_old_form(token));
        assert_eq!((old.len(), new.len()), (20, 20));
        assert!(is_old_form(&tokens[0]) && !is_old_form(&tokens[1]), "the forms don't come in turn");
        assert!(old.iter().all(|token| token.len() == 40));
        assert!(new.iter().all(|token| (452..=592).contains(&token.len()) && token.matches('.').count() == 2));
        assert!(new.iter().any(|token| token.len() != new[0].len()));
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        assert!(new.iter().all(|token| token.bytes().all(is_allowed)));
    }

    #[test]
    fn revoked_and_invented_tokens_are_told_apart() {
        let ledger = Ledger::default();
        let one = ledger.mint(Duration::from_secs(60));
        ledger.revoke(&one.token);
        assert_eq!(ledger.state_of(&one.token), TokenState::Revoked);
        assert_eq!(ledger.state_of("ghs_invented"), TokenState::Unknown);
    }
}
