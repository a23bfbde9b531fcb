//! Untrusted text made fit for a log line or an error text.
//!
//! An answer's body, a command's stderr and a server's certificate name may all hold escape
//! sequences for the reader's terminal, a megabyte of noise, or the very token that must not be
//! logged. Known secrets are replaced first, then everything that has the shape of a credential.
//! The rest is escaped and cut.

/// Longest quotation of untrusted text, in bytes.
pub const MAX_UNTRUSTED: usize = 200;

const REDACTED: &str = "[redacted]";

/// Prefixes of credentials. The characters that follow one are a secret, wherever it occurs.
pub const TOKEN_PREFIXES: [&str; 9] =
    ["ghs_", "gho_", "ghp_", "ghu_", "ghr_", "github_pat_", "glpat-", "gitea_", "eyJ"];

/// Words before a credential in a header. The next word is a secret if it looks random, but not if
/// it is just the next word of a sentence.
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "token "];

/// Returns `text` escaped, cut at [`MAX_UNTRUSTED`] bytes, and without anything that looks like a
/// credential.
#[must_use]
pub fn untrusted(text: &str) -> String {
    untrusted_without(text, &[])
}

/// Does the same as [`untrusted`], for text whose author knows these `secrets`.
#[must_use]
pub fn untrusted_without(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|s| !s.is_empty()) {
        text = text.replace(secret, REDACTED);
    }
    escape_and_cut(&redact_shapes(&text))
}

/// Quotes one word of a command line that people copy or that a shell gets by `eval`. The shell
/// reads the word as it is, whatever it contains, and runs none of it.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Quotes a path for a command line that a person is shown.
#[must_use]
pub fn shell_path(path: &std::path::Path) -> String {
    shell_word(&visible(&path.display().to_string()))
}

/// Returns the whole text, with those characters escaped that a terminal obeys or that change the
/// direction of writing.
#[must_use]
pub fn visible(text: &str) -> String {
    let is_obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Replaces everything that has the shape of a credential.
fn redact_shapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (keep, secret) = secret_at(rest);
        if secret > 0 {
            out.push_str(&rest[..keep]);
            out.push_str(REDACTED);
            rest = &rest[keep + secret..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Returns how many bytes at the start of `rest` lead up to a secret, and how many bytes the secret
/// has. If the second number is zero, no secret begins here.
fn secret_at(rest: &str) -> (usize, usize) {
    if let Some(prefix) = TOKEN_PREFIXES.iter().find(|p| rest.starts_with(**p)) {
        return (prefix.len(), secret_length(&rest[prefix.len()..]));
    }
    let scheme = SCHEMES.iter().find(|s| {
        let head = rest.as_bytes().get(..s.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(s.as_bytes()))
    });
    if let Some(scheme) = scheme {
        let word = secret_length(&rest[scheme.len()..]);
        let value = &rest[scheme.len()..scheme.len() + word];
        let is_random = word >= 8 && value.bytes().any(|b| b.is_ascii_digit());
        return (scheme.len(), if is_random || word > 20 { word } else { 0 });
    }
    if let Some(authority) = rest.strip_prefix("://") {
        let end = authority
            .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace())
            .unwrap_or(authority.len());
        return (3, authority[..end].rfind('@').unwrap_or(0));
    }
    (0, 0)
}

/// Returns how many bytes at the start can belong to a credential.
fn secret_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_-.~+/=".contains(b)).count()
}

fn escape_and_cut(text: &str) -> String {
    const MORE: &str = "...";
    let mut out = String::new();
    for c in text.chars() {
        let before = out.len();
        match c {
            ' '..='[' | ']'..='~' => out.push(c),
            _ => out.extend(c.escape_default()),
        }
        if out.len() > MAX_UNTRUSTED - MORE.len() {
            out.truncate(before);
            out.push_str(MORE);
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rule23_escapes_and_foreign_letters_are_escaped() {
        assert_eq!(untrusted("a\x1b[31m\n\\\u{202e}ö"), r"a\u{1b}[31m\n\\\u{202e}\u{f6}");
    }

    #[test]
    fn rule23_what_looks_like_a_credential_is_replaced() {
        for (text, wanted) in [
            ("got ghs_canary1 back", "got ghs_[redacted] back"),
            ("xgithub_pat_11AA_b.", "xgithub_pat_[redacted]"),
            ("Authorization: Bearer k3y-abcdef!", "Authorization: Bearer [redacted]!"),
            ("missing bearer token", "missing bearer token"),
            ("Basic authentication required", "Basic authentication required"),
            ("http://u:p@proxy:1/x", "http://[redacted]@proxy:1/x"),
            ("eyJhbGciOi.J9.x", "eyJ[redacted]"),
        ] {
            assert_eq!(untrusted(text), wanted);
        }
    }

    #[test]
    fn rule23_a_known_secret_is_replaced_whatever_its_shape() {
        assert_eq!(untrusted_without("key=plain!", &["", "plain"]), "key=[redacted]!");
    }

    #[test]
    fn a_word_is_quoted_for_a_shell() {
        assert_eq!(shell_word("credential.https://*.x.helper"), "'credential.https://*.x.helper'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!((shell_word(""), shell_word("molecule")), (String::new(), "molecule".into()));
        assert_eq!(visible("a\x1b[2J\n…\u{202e}"), r"a\u{1b}[2J\n…\u{202e}");
    }

    proptest! {
        #[test]
        fn rule23_any_text_comes_out_short_printable_and_without_tokens(
            head in ".{0,300}", tail in "[A-Za-z0-9]{8,40}", end in ".{0,40}"
        ) {
            let out = untrusted(&format!("{head}ghs_{tail}{end}"));
            prop_assert!(out.len() <= MAX_UNTRUSTED);
            prop_assert!(out.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert!(!out.contains(&tail[..8]));
        }
    }
}
