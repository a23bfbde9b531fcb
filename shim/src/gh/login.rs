//! The login that a person made with gh itself, as gh's `hosts.yml` records it.
//!
//! In that file a host's name starts a line, and its entries follow indented (gh's
//! `internal/config`). The token of the active account is the host's own entry
//! `oauth_token`. If the desktop's keyring holds the token, the file has only the
//! account's name.

use crate::fallback::PathText;
use crate::protocol::gh::is_installation_token;
use crate::sys::{self, ProcessStart};
use crate::text::BoundedText;

/// One line of the file. Only a token's first bytes matter, so a longer line may be
/// cut.
type Line = BoundedText<512>;

/// True if gh has a login for this host that isn't an installation token.
#[inline(never)]
pub(super) fn is_stored(start: &ProcessStart<'_>, host: &[u8]) -> bool {
    let Some(file) = hosts_file(start).arg().and_then(|path| sys::open_to_read(path).ok()) else {
        return false;
    };
    let mut search = LoginSearch::new(host);
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = sys::read(&file, &mut chunk) {
        search.push(&chunk[..count]);
    }
    search.finish()
}

/// Returns the path of `hosts.yml` (`gh help environment`, `GH_CONFIG_DIR`).
fn hosts_file(start: &ProcessStart<'_>) -> PathText {
    let (folder, below): (_, &[u8]) = if let Some(own) = start.setting(b"GH_CONFIG_DIR") {
        (own, b"/hosts.yml")
    } else if let Some(config) = start.setting(b"XDG_CONFIG_HOME") {
        (config, b"/gh/hosts.yml")
    } else {
        (start.setting(b"HOME").unwrap_or_default(), b"/.config/gh/hosts.yml")
    };
    PathText::concat(&[folder, below])
}

/// Search for one host's login, line by line.
struct LoginSearch<'h> {
    host: &'h [u8],
    line: Line,
    in_host: bool,
    /// Indentation of the host's own entries.
    depth: Option<usize>,
    has_account: bool,
    has_own_token: Option<bool>,
}

impl<'h> LoginSearch<'h> {
    fn new(host: &'h [u8]) -> Self {
        Self { host, line: Line::new(), in_host: false, depth: None, has_account: false, has_own_token: None }
    }

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(&[byte]);
            }
        }
    }

    fn finish(mut self) -> bool {
        self.end_line();
        self.has_own_token.unwrap_or(self.has_account)
    }

    fn end_line(&mut self) {
        let line = core::mem::take(&mut self.line);
        let text = line.get().trim_ascii();
        if text.is_empty() || text.starts_with(b"#") {
            return;
        }
        let (key, value) = key_and_value(text);
        let indent = line.get().iter().take_while(|&&b| b == b' ').count();
        if indent == 0 {
            self.in_host = key.eq_ignore_ascii_case(self.host);
            self.depth = None;
        } else if self.in_host && *self.depth.get_or_insert(indent) == indent {
            match key {
                b"oauth_token" if !value.is_empty() => self.has_own_token = Some(!is_installation_token(value)),
                b"user" | b"users" => self.has_account = true,
                _ => {}
            }
        }
    }
}

/// Splits at YAML's colon, which has a space or the end of the line after it.
fn key_and_value(text: &[u8]) -> (&[u8], &[u8]) {
    let is_end = |at: &usize| text[*at] == b':' && text.get(at + 1).is_none_or(|&b| b == b' ');
    let end = (0..text.len()).find(is_end).unwrap_or(text.len());
    (unquoted(&text[..end]), unquoted(text.get(end + 1..).unwrap_or_default().trim_ascii()))
}

fn unquoted(text: &[u8]) -> &[u8] {
    let inner = |quote: &[u8]| text.strip_prefix(quote)?.strip_suffix(quote);
    inner(b"\"").or_else(|| inner(b"'")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_stored_in(text: &str, host: &str) -> bool {
        // The result doesn't depend on how the reads cut the text.
        let mut search = LoginSearch::new(host.as_bytes());
        text.as_bytes().chunks(3).for_each(|chunk| search.push(chunk));
        search.finish()
    }

    /// As gh 2.102 writes it, with two accounts.
    const TWO: &str = "github.com:\n    git_protocol: https\n    users:\n        alice:\n            \
        oauth_token: gho_a\n        bob:\n            oauth_token: ghs_b\n    user: alice\n    oauth_token: gho_a\n";

    #[test]
    fn a_persons_login_is_found() {
        for text in [
            TWO,
            "github.com:\n    oauth_token: gho_x\n    user: alice\n    git_protocol: https\n",
            "GitHub.com:\n  oauth_token: 'ghp_x'",
            "# by hand\nghe.corp:\n  user: b\n\n\"github.com\":\n  oauth_token: \"gho_x\"\n",
            "github.com:\n    users:\n        alice:\n    user: alice\n",
        ] {
            assert!(is_stored_in(text, "github.com"), "{text}");
        }
        assert!(is_stored_in("ghe.corp:8443:\n    oauth_token: x\n", "ghe.corp:8443"));
        assert!(is_stored_in(&format!("github.com:\n  oauth_token: gho_{}\n", "x".repeat(9000)), "github.com"));
    }

    #[test]
    fn other_hosts_logins_and_installation_tokens_do_not_count() {
        for text in [
            "",
            "github.com:\n",
            "github.com: {}\n",
            "ghe.corp:\n    oauth_token: gho_x\n",
            "github.com:\n    user: x\n    oauth_token: ghs_x\n",
            "github.com:\n    git_protocol: ssh\nghe.corp:\n    oauth_token: gho_x\n",
            "github.com.evil.example:\n    oauth_token: gho_x\n",
        ] {
            assert!(!is_stored_in(text, "github.com"), "{text}");
        }
        assert!(!is_stored_in(&TWO.replace("    oauth_token: gho_a\n", "    oauth_token: ghs_a\n"), "github.com"));
    }
}
