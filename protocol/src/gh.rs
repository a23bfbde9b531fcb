//! The variables from which gh reads a host's token (`gh help environment`; go-gh,
//! `auth.TokenForHost` and `auth.IsEnterprise`).

use crate::origin::has_host_bytes;

/// Variables for github.com and tenants of ghe.com. The first that isn't empty wins.
pub const GITHUB_VARIABLES: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];
/// Variables for all other hosts. The first that isn't empty wins.
pub const ENTERPRISE_VARIABLES: [&str; 2] = ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];
/// All variables from which gh reads a token.
pub const TOKEN_VARIABLES: [&str; 4] =
    [GITHUB_VARIABLES[0], GITHUB_VARIABLES[1], ENTERPRISE_VARIABLES[0], ENTERPRISE_VARIABLES[1]];
/// Variable with the host that gh talks to if no argument and no remote names another.
pub const HOST_VARIABLE: &str = "GH_HOST";
/// The host that gh talks to if that variable isn't set either.
pub const DEFAULT_HOST: &str = "github.com";

/// Returns the pair of variables that gh reads for a [`canonical_host`] host.
#[must_use]
pub fn token_variables(host: &[u8]) -> &'static [&'static str; 2] {
    let local = host.eq_ignore_ascii_case(b"github.localhost") || is_below(host, b".github.localhost");
    let github = is_default_host(host) || is_below(host, b".ghe.com") || local;
    if github { &GITHUB_VARIABLES } else { &ENTERPRISE_VARIABLES }
}

/// Returns the host whose token gh uses for this host: github.com for any name below
/// it, otherwise the host itself.
#[must_use]
pub fn canonical_host(host: &[u8]) -> &[u8] {
    if has_host_bytes(host) && is_below(host, b".github.com") { DEFAULT_HOST.as_bytes() } else { host }
}

/// Returns true if a [`canonical_host`] host is gh's default host.
#[must_use]
pub fn is_default_host(host: &[u8]) -> bool {
    host.eq_ignore_ascii_case(DEFAULT_HOST.as_bytes())
}

/// Returns true if a token is an App's installation token by its form ("`ghs_` for
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
            ("github.com", GITHUB_VARIABLES),
            ("GitHub.com", GITHUB_VARIABLES),
            ("api.github.com", GITHUB_VARIABLES),
            ("tenant.ghe.com", GITHUB_VARIABLES),
            ("github.localhost", GITHUB_VARIABLES),
            ("api.github.localhost", GITHUB_VARIABLES),
            ("ghe.com", ENTERPRISE_VARIABLES),
            (".ghe.com", ENTERPRISE_VARIABLES),
            ("ghe.corp", ENTERPRISE_VARIABLES),
            ("ghe.corp:8443", ENTERPRISE_VARIABLES),
            ("notgithub.com", ENTERPRISE_VARIABLES),
            ("github.com.evil.example", ENTERPRISE_VARIABLES),
        ] {
            assert_eq!(*token_variables(canonical_host(host.as_bytes())), expected, "{host}");
        }
    }

    #[test]
    fn only_a_valid_host_counts_as_a_name_below_github() {
        for same in ["evil/.github.com", "evil\n.github.com", "a%2f.github.com", ".github.com", "github.com"] {
            assert_eq!(canonical_host(same.as_bytes()), same.as_bytes());
        }
        assert_eq!(canonical_host(b"Gist.GitHub.com"), b"github.com");
        assert!(has_host_bytes(b"[::1]:3000") && !has_host_bytes(b"a/b"));
    }

    #[test]
    fn an_installation_token_is_recognized_by_its_prefix() {
        assert!(is_installation_token(b"ghs_1"));
        for token in [&b"ghp_1"[..], b"xghs_", b"ghs", b""] {
            assert!(!is_installation_token(token));
        }
    }
}
