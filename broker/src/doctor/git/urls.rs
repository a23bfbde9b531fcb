//! URLs as git reads them (git-fetch(1), "GIT URLS"), and their rewriting by `insteadOf`.

use molecule_protocol::origin::Origin;

use super::files::GitEntry;
use crate::system::text::TOKEN_PREFIXES;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url<'u> {
    /// Scheme in lower case; `ssh` also for `user@host:path`.
    pub(super) scheme: String,
    pub(super) login: Option<&'u str>,
    /// Host in lower case.
    pub(super) host: String,
    pub(super) port: Option<&'u str>,
    /// The part after the host, without its first `/` or `:`.
    pub(super) path: &'u str,
    /// Everything before the path.
    pub(super) before_path: &'u str,
}

impl<'u> Url<'u> {
    /// Parses a URL. Returns `None` for a path, a remote's name, and anything else without a host.
    pub(super) fn parse(text: &'u str) -> Option<Self> {
        let (scheme, authority, path) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (scheme.to_ascii_lowercase(), authority, path)
            }
            None => {
                let (authority, path) = text.split_once(':').filter(|(before, _)| !before.contains('/'))?;
                ("ssh".to_owned(), authority, path)
            }
        };
        if !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') {
            return None;
        }
        let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
        let end_of_name = host.rfind(']').unwrap_or(0);
        let (host, port) = match host[end_of_name..].split_once(':') {
            Some((rest, port)) => (&host[..end_of_name + rest.len()], Some(port)),
            None => (host, None),
        };
        let before_path = &text[..text.len() - path.len()];
        (!host.is_empty()).then(|| Self { scheme, login, host: host.to_ascii_lowercase(), port, path, before_path })
    }

    /// True for an http URL whose login contains a password or a token, and not only a user name.
    pub(super) fn carries_login(&self) -> bool {
        let is_token = |login: &str| {
            TOKEN_PREFIXES.iter().any(|prefix| login.starts_with(prefix))
                // The form of GitHub's tokens before 2021, and of Gitea's.
                || login.len() == 40 && login.bytes().all(|b| b.is_ascii_hexdigit())
        };
        self.is_http() && self.login.is_some_and(|login| login.contains(':') || is_token(login))
    }

    pub(super) fn is_http(&self) -> bool {
        ["http", "https"].contains(&self.scheme.as_str())
    }

    pub(super) fn is_ssh(&self) -> bool {
        ["ssh", "git+ssh", "ssh+git"].contains(&self.scheme.as_str())
    }

    /// Returns the name of this host for `https`: GitHub serves ssh on port 443 under another name.
    pub(super) fn https_host(&self) -> &str {
        if self.host == "ssh.github.com" { "github.com" } else { &self.host }
    }

    /// Returns the URL without its login.
    pub(super) fn without_login(&self) -> String {
        format!("{}/{}", self.host_url(), self.path)
    }

    /// Returns scheme, host and port as a URL.
    pub(super) fn host_url(&self) -> String {
        format!("{}://{}", self.scheme, self.host_and_port())
    }

    pub(super) fn host_and_port(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// Returns true if one of these patterns covers the origin that git asks a helper for.
    pub(super) fn is_named_by(&self, patterns: &[crate::config::OriginPattern]) -> bool {
        let host = self.host_and_port();
        let origin = Origin::parse(self.scheme.as_bytes(), host.as_bytes());
        origin.is_some_and(|origin| patterns.iter().any(|pattern| pattern.closeness_to(&origin).is_some()))
    }
}

/// Parses the key `url.BASE.insteadOf` or `pushInsteadOf`. Returns the base, and true if it is only
/// for pushes.
pub(super) fn parse_rewrite_key(key: &str) -> Option<(&str, bool)> {
    let (base, name) = key.strip_prefix("url.")?.rsplit_once('.')?;
    match name {
        "insteadof" => Some((base, false)),
        "pushinsteadof" => Some((base, true)),
        _ => None,
    }
}

/// Returns the URL that git uses for fetches. The longest matching prefix wins.
pub(super) fn apply_rewrites(url: &str, entries: &[GitEntry]) -> String {
    let bases = entries.iter().filter_map(|entry| match parse_rewrite_key(&entry.key)? {
        (base, false) if !entry.value.is_empty() => url.strip_prefix(&entry.value).map(|rest| (base, rest)),
        _ => None,
    });
    bases.min_by_key(|(_, rest)| rest.len()).map_or_else(|| url.to_owned(), |(base, rest)| format!("{base}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::super::files::GitScope;
    use super::*;

    fn parts(url: &str) -> Option<(String, String, Option<&str>, &str)> {
        Url::parse(url).map(|u| (u.scheme, u.host, u.port, u.path))
    }

    #[test]
    fn urls_are_read_as_git_reads_them() {
        let of = |scheme: &str, host: &str, port, path| Some((scheme.to_owned(), host.to_owned(), port, path));
        assert_eq!(parts("HTTPS://u:p@GitHub.com:8443/o/r"), of("https", "github.com", Some("8443"), "o/r"));
        assert_eq!(parts("git@github.com:o/r.git"), of("ssh", "github.com", None, "o/r.git"));
        assert_eq!(parts("github.com:o/r"), of("ssh", "github.com", None, "o/r"));
        assert_eq!(parts("ssh://git@[::1]:22/o/r"), of("ssh", "[::1]", Some("22"), "o/r"));
        for none in ["origin", "/srv/git/r", "../a:b", "./x", "file:///srv/r", "ext::https://x/y", ""] {
            assert_eq!(parts(none), None, "{none}");
        }
    }

    #[test]
    fn a_user_name_in_a_url_is_not_taken_for_a_token() {
        for (url, bare) in [
            ("https://x-access-token:ghs_a@github.com/o/r", "https://github.com/o/r"),
            ("https://ghp_abc@github.com:8443/o/r", "https://github.com:8443/o/r"),
            ("HTTPS://0123456789abcdef0123456789abcdef01234567@git.example/", "https://git.example/"),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert!(parsed.carries_login() && parsed.without_login() == bare, "{url}");
        }
        for plain in ["https://me@github.com/o/r", "git@github.com:o/r", "ssh://git:x@github.com/o"] {
            assert!(!Url::parse(plain).unwrap().carries_login(), "{plain}");
        }
    }

    #[test]
    fn the_longest_instead_of_rewrites_a_url() {
        let entry = |key: &str, value: &str| GitEntry {
            scope: GitScope::Global,
            origin: String::new(),
            key: key.into(),
            value: value.into(),
        };
        let entries = [
            entry("url.git@github.com:.insteadof", "https://github.com/"),
            entry("url.https://mirror.example/.insteadof", "https://github.com/acme/"),
            entry("url.ssh://x/.pushinsteadof", "https://github.com/acme/app"),
        ];
        assert_eq!(apply_rewrites("https://github.com/o/r", &entries), "git@github.com:o/r");
        assert_eq!(apply_rewrites("https://github.com/acme/app", &entries), "https://mirror.example/app");
        assert_eq!(apply_rewrites("https://gitlab.com/x", &entries), "https://gitlab.com/x");
    }
}
