//! Assignment of origins to credentials: the one decision on which git's credential helper,
//! askpass, gh and `token` all rely.

use molecule_protocol::origin::{Origin, Pattern, Scheme};

/// Position of a credential in the configuration's list.
pub type Index = usize;

/// Origin patterns that credentials claim. Made once from a checked configuration, in which no two
/// credentials claim the same pattern.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    claims: Vec<Claim>,
    /// The credential, if there is one, that takes every https origin without a claim.
    any: Option<Index>,
}

#[derive(Clone, Debug)]
struct Claim {
    pattern: Pattern<Box<str>>,
    /// `None` if the claiming credential was switched off. Then no credential gets the origin.
    owner: Option<Index>,
}

impl Scopes {
    /// Assigns the origins of a pattern to a credential.
    pub fn claim(&mut self, owner: Index, pattern: Pattern<Box<str>>) {
        self.claims.push(Claim { pattern, owner: Some(owner) });
    }

    /// Withholds the origins of a pattern from the credential that takes the rest.
    pub fn reserve(&mut self, pattern: Pattern<Box<str>>) {
        self.claims.push(Claim { pattern, owner: None });
    }

    /// Assigns every https origin without a claim to a credential.
    pub fn take_the_rest(&mut self, owner: Index) {
        self.any = Some(owner);
    }

    /// Returns the credential whose pattern matches the origin most closely.
    ///
    /// An origin that any credential claims never falls to the one that takes the rest, whether or
    /// not the claiming credential has a token. Nor does an origin with plain http.
    #[must_use]
    pub fn resolve(&self, origin: &Origin<'_>) -> Option<Index> {
        let closeness = |claim: &Claim| Some((claim.pattern.closeness_to(origin)?, claim.owner.is_some(), claim.owner));
        let closest = self.claims.iter().filter_map(closeness).max();
        match closest {
            Some((_, _, owner)) => owner,
            None => self.any.filter(|_| origin.scheme == Scheme::Https),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern<Box<str>> {
        Pattern::parse(text).unwrap().map_host(Box::from)
    }

    fn resolve(scopes: &Scopes, protocol: &str, host: &str) -> Option<Index> {
        Origin::parse(protocol.as_bytes(), host.as_bytes()).and_then(|o| scopes.resolve(&o))
    }

    fn github_and_open_persona() -> Scopes {
        let mut scopes = Scopes::default();
        scopes.claim(0, pattern("github.com"));
        scopes.claim(0, pattern("*.ghe.com"));
        scopes.take_the_rest(1);
        scopes
    }

    #[test]
    fn rule51_a_claimed_origin_never_falls_to_the_open_persona() {
        let scopes = github_and_open_persona();
        assert_eq!(resolve(&scopes, "https", "github.com"), Some(0));
        assert_eq!(resolve(&scopes, "https", "GITHUB.com:443"), Some(0));
        assert_eq!(resolve(&scopes, "https", "git.example.com"), Some(1));
        let mut off = Scopes::default();
        off.reserve(pattern("github.com"));
        off.take_the_rest(0);
        assert_eq!(resolve(&off, "https", "github.com"), None);
        assert_eq!(resolve(&off, "https", "git.example.com"), Some(0));
    }

    #[test]
    fn rule14_an_open_persona_is_never_given_over_plain_http() {
        assert_eq!(resolve(&github_and_open_persona(), "http", "git.example.com"), None);
    }

    #[test]
    fn rule02_a_lookalike_of_a_claimed_host_isnt_the_personas() {
        for host in ["github.com.", "github.com%2f", "github.com/", "github.com\u{e9}", "", ".", "a..b"] {
            assert_eq!(resolve(&github_and_open_persona(), "https", host), None, "{host:?}");
        }
    }

    #[test]
    fn the_closest_pattern_wins_whatever_the_order() {
        let mut scopes = Scopes::default();
        scopes.claim(0, pattern("*.example.com"));
        scopes.claim(1, pattern("git.example.com"));
        assert_eq!(resolve(&scopes, "https", "git.example.com"), Some(1));
        assert_eq!(resolve(&scopes, "https", "www.example.com"), Some(0));
        assert_eq!(resolve(&scopes, "https", "a.b.example.com"), None);
    }

    #[test]
    fn an_explicit_claim_beats_a_reservation_of_the_same_origin() {
        let mut scopes = Scopes::default();
        scopes.claim(3, pattern("github.com"));
        scopes.reserve(pattern("github.com"));
        assert_eq!(resolve(&scopes, "https", "github.com"), Some(3));
    }

    proptest! {
        #[test]
        fn rule05_an_empty_or_invalid_host_gets_no_credential(protocol in "[a-z]{0,6}", host in "[^a-z0-9]{0,3}") {
            prop_assume!(!host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') || host.is_empty());
            prop_assert_eq!(resolve(&github_and_open_persona(), &protocol, &host), None);
        }
    }
}
