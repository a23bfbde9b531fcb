//! The only prompts that askpass answers: git's and git-lfs's, for a user name or a
//! password.
//!
//! Git passes the prompt as one argument (gitcredentials(7), "requesting credentials";
//! `credential_ask_one` in git's `credential.c` doesn't translate it). Besides a plain
//! host and a plain path, a prompt may contain nothing that a server, an ssh peer or a
//! URL could choose. Otherwise it counts as another program's prompt.

use crate::encoding::nibble;
use crate::limits::MAX_PROMPT;
use crate::line::is_control;
use crate::origin::{Scheme, has_host_bytes};

/// The half of a credential that a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialField {
    Username,
    Password,
}

/// One prompt of git's or git-lfs's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt<'a> {
    pub field: CredentialField,
    pub scheme: Scheme,
    pub host: &'a [u8],
    /// The URL's path without its leading slash.
    pub path: Option<&'a [u8]>,
    user: &'a [u8],
}

impl CredentialField {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Password => "password",
        }
    }

    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Username, Self::Password].into_iter().find(|f| f.name().as_bytes() == name)
    }
}

impl<'a> Prompt<'a> {
    /// Reads a whole prompt. Returns `None` for a prompt that askpass doesn't answer.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() > MAX_PROMPT {
            return None;
        }
        let (field, rest) = match text.strip_prefix(b"Username for ") {
            Some(rest) => (CredentialField::Username, rest),
            None => (CredentialField::Password, text.strip_prefix(b"Password for ")?),
        };
        let url = between(rest, b"'", b"': ").or_else(|| between(rest, b"\"", b"\""))?;
        let (scheme, rest) = match url.strip_prefix(b"https://") {
            Some(rest) => (Scheme::Https, rest),
            None => (Scheme::Http, url.strip_prefix(b"http://")?),
        };
        let (user, rest) = match field {
            CredentialField::Username => (&[][..], rest),
            CredentialField::Password => split_at(rest, b'@')?,
        };
        let (host, path) = match split_at(rest, b'/') {
            None => (rest, None),
            Some((host, path)) => (host, Some(path)),
        };
        let plain = (field == CredentialField::Username || is_user(user)) && is_host(host) && path.is_none_or(is_path);
        plain.then_some(Self { field, scheme, host, path: path.filter(|p| !p.is_empty()), user })
    }

    /// Returns the user name of a password prompt, percent-decoded.
    pub fn username(&self) -> Option<impl Iterator<Item = u8> + use<'a>> {
        (self.field == CredentialField::Password).then_some(Decoded(self.user))
    }
}

/// A percent-encoded text whose escapes were checked by [`is_user`].
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = next_byte(self.0)?;
        self.0 = rest;
        Some(byte)
    }
}

fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] => Some((nibble(*high)? * 16 + nibble(*low)?, rest)),
        [b'%', ..] | [] => None,
        [byte, rest @ ..] => Some((*byte, rest)),
    }
}

fn between<'a>(text: &'a [u8], open: &[u8], close: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(open)?.strip_suffix(close)
}

fn split_at(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// True for a user name as git and Go's `net/url` write it: the unreserved characters of
/// RFC 3986, a few more that Go doesn't escape, and escapes of all other bytes except
/// control bytes.
fn is_user(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((byte, after)) = next_byte(rest) {
        let escaped = rest[0] == b'%' && !is_control(byte);
        let plain = byte.is_ascii_alphanumeric() || b"-._~$&+,;=".contains(&byte);
        if !(escaped || plain) {
            return false;
        }
        rest = after;
    }
    rest.is_empty() && !text.is_empty()
}

fn is_host(text: &[u8]) -> bool {
    !text.is_empty() && has_host_bytes(text)
}

fn is_path(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~/+=,:!$&()*;".contains(b))
}

#[cfg(test)]
mod tests;
