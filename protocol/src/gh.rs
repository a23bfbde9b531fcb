//! Which variable gh reads a host's token from (`gh help environment`; go-gh,
//! `auth.TokenForHost` and `auth.IsEnterprise`).

use crate::origin::has_host_bytes;

/// For github.com and tenants of ghe.com. The first that isn't empty wins.
pub const GITHUB: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];
/// For all other hosts, likewise.
pub const ENTERPRISE: [&str; 2] = ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];
/// All of them.
pub const TOKENS: [&str; 4] = [GITHUB[0], GITHUB[1], ENTERPRISE[0], ENTERPRISE[1]];
/// The host that gh talks to where no argument and no remote names another.
pub const HOST: &str = "GH_HOST";
/// That host, if nothing says otherwise.
pub const DEFAULT_HOST: &str = "github.com";

/// The pair that gh reads for a [`canonical`] host.
#[must_use]
pub fn variables(host: &[u8]) -> &'static [&'static str; 2] {
    let local = host.eq_ignore_ascii_case(b"github.localhost") || is_below(host, b".github.localhost");
    let github = is_default(host) || is_below(host, b".ghe.com") || local;
    if github { &GITHUB } else { &ENTERPRISE }
}

/// The host that gh takes this one for: any name below github.com is that.
#[must_use]
pub fn canonical(host: &[u8]) -> &[u8] {
    if has_host_bytes(host) && is_below(host, b".github.com") { DEFAULT_HOST.as_bytes() } else { host }
}

/// Returns true if a [`canonical`] host is gh's default host.
#[must_use]
pub fn is_default(host: &[u8]) -> bool {
    host.eq_ignore_ascii_case(DEFAULT_HOST.as_bytes())
}

/// Returns true if a token is an App's installation token, by its form ("`ghs_` for
/// GitHub App installation access tokens", GitHub's documentation of token
/// formats). Such a token belongs to no user and lives for an hour at most.
#[must_use]
pub fn is_installation_token(token: &[u8]) -> bool {
    token.starts_with(b"ghs_")
}

fn is_below(host: &[u8], end: &[u8]) -> bool {
    host.len() > end.len() && host[host.len() - end.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_variables_that_gh_reads_for_it() {
        for (host, expected) in [
            ("github.com", GITHUB),
            ("GitHub.com", GITHUB),
            ("api.github.com", GITHUB),
            ("tenant.ghe.com", GITHUB),
            ("github.localhost", GITHUB),
            ("api.github.localhost", GITHUB),
            ("ghe.com", ENTERPRISE),
            (".ghe.com", ENTERPRISE),
            ("ghe.corp", ENTERPRISE),
            ("ghe.corp:8443", ENTERPRISE),
            ("notgithub.com", ENTERPRISE),
            ("github.com.evil.example", ENTERPRISE),
        ] {
            assert_eq!(*variables(canonical(host.as_bytes())), expected, "{host}");
        }
    }

    #[test]
    fn only_what_can_be_a_host_is_taken_for_a_name_below_github() {
        for same in ["evil/.github.com", "evil\n.github.com", "a%2f.github.com", ".github.com", "github.com"] {
            assert_eq!(canonical(same.as_bytes()), same.as_bytes());
        }
        assert_eq!(canonical(b"Gist.GitHub.com"), b"github.com");
        assert!(has_host_bytes(b"[::1]:3000") && !has_host_bytes(b"a/b"));
    }

    #[test]
    fn an_installations_token_is_known_by_its_beginning() {
        assert!(is_installation_token(b"ghs_1"));
        for token in [&b"ghp_1"[..], b"xghs_", b"ghs", b""] {
            assert!(!is_installation_token(token));
        }
    }
}
