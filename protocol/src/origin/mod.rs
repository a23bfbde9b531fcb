//! Origins, their patterns, and how these match.
//!
//! git passes a host percent-decoded and otherwise as it was written in the URL. So it
//! is compared byte by byte with the configured host, never by prefix, suffix or a URL
//! parser: `https://github.com%2f.evil.example/` arrives here as the host
//! `github.com/.evil.example` and must be just another host. Only ASCII case is folded,
//! and a scheme's default port equals no port.

use core::fmt;

/// A scheme for which there can be a credential. The answer to any other is `silent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Https,
    Http,
}

/// The scheme, host and port that a client wants to log in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    pub scheme: Scheme,
    /// A name or a bracketed address, in the received case.
    pub host: &'a str,
    /// `None` for the scheme's default port.
    pub port: Option<u16>,
}

/// Pattern that an operator allows: one origin, or all origins with one more label in
/// front.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern<S> {
    pub scheme: Scheme,
    /// The host was written with `*.` before it.
    pub wildcard: bool,
    pub host: S,
    pub port: Option<u16>,
}

/// How closely a pattern matches an origin. The closest match wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closeness {
    Any,
    Wildcard,
    Exact,
}

/// The part for which a text isn't a valid origin pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    Scheme,
    Host,
    Port,
    Wildcard,
}

impl Scheme {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Https, Self::Http].into_iter().find(|s| s.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

impl<'a> Origin<'a> {
    /// Reads git's `protocol` and `host`. Returns `None` if they can't be the origin of
    /// any credential.
    #[must_use]
    pub fn parse(protocol: &[u8], host: &'a [u8]) -> Option<Self> {
        let scheme = Scheme::from_name(protocol)?;
        let (host, port) = split_port(core::str::from_utf8(host).ok()?).ok()?;
        let port = port.filter(|&p| p != scheme.default_port());
        is_host(host).then_some(Self { scheme, host, port })
    }
}

impl<'a> Pattern<&'a str> {
    /// Reads `host`, `host:port` or `scheme://host[:port]`, each host with an optional
    /// `*.` before it. Without a scheme, https is meant.
    ///
    /// # Errors
    /// The first part that isn't valid.
    pub fn parse(text: &'a str) -> Result<Self, PatternError> {
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Https, text),
            Some((name, rest)) => (Scheme::from_name(name.as_bytes()).ok_or(PatternError::Scheme)?, rest),
        };
        let (wildcard, rest) = match rest.strip_prefix("*.") {
            None => (false, rest),
            Some(rest) => (true, rest),
        };
        let (host, port) = split_port(rest)?;
        if host.contains('*') {
            return Err(PatternError::Wildcard);
        }
        if !is_host(host) || wildcard && host.starts_with('[') {
            return Err(PatternError::Host);
        }
        Ok(Self { scheme, wildcard, host, port: port.filter(|&p| p != scheme.default_port()) })
    }
}

impl<S> Pattern<S> {
    /// Converts the host, for example with `Box::from` into a text that the pattern owns.
    #[must_use]
    pub fn map_host<T>(self, convert: impl FnOnce(S) -> T) -> Pattern<T> {
        let Self { scheme, wildcard, host, port } = self;
        Pattern { scheme, wildcard, host: convert(host), port }
    }
}

impl<S: AsRef<str>> Pattern<S> {
    /// Returns how specifically this pattern matches the origin, or `None` if it
    /// doesn't match.
    #[must_use]
    pub fn closeness_to(&self, origin: &Origin<'_>) -> Option<Closeness> {
        if self.scheme != origin.scheme || self.port != origin.port {
            return None;
        }
        let host = self.host.as_ref();
        if !self.wildcard {
            return host.eq_ignore_ascii_case(origin.host).then_some(Closeness::Exact);
        }
        let (label, rest) = origin.host.split_once('.')?;
        (!label.is_empty() && host.eq_ignore_ascii_case(rest)).then_some(Closeness::Wildcard)
    }
}

/// Splits off a port, which has no sign and no leading zero and is at most 65535. The
/// caller must check that the rest is a host.
fn split_port(text: &str) -> Result<(&str, Option<u16>), PatternError> {
    // The colons of an IPv6 address are before its closing bracket.
    let host_end = text.rfind(']').unwrap_or(0);
    let Some(colon) = text[host_end..].find(':') else {
        return Ok((text, None));
    };
    let (host, port) = (&text[..host_end + colon], &text[host_end + colon + 1..]);
    let plain = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    match port.parse() {
        Ok(number) if plain => Ok((host, Some(number))),
        _ => Err(PatternError::Port),
    }
}

/// Returns true if every byte is valid in a host.
#[must_use]
pub fn has_host_bytes(host: &[u8]) -> bool {
    host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(b))
}

/// True for a name of letters, digits, `-` and `_` in labels that aren't empty, or an
/// IPv6 address in brackets. A trailing dot isn't valid: to git that is another host.
fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return inner.parse::<core::net::Ipv6Addr>().is_ok();
    }
    let label = |l: &str| {
        !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<S: AsRef<str>> fmt::Display for Pattern<S> {
    /// Writes the pattern as [`Pattern::parse`] reads it, without the scheme https.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme != Scheme::Https {
            write!(f, "{}://", self.scheme.name())?;
        }
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.host.as_ref())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the scheme must be https or http",
            Self::Host => "the host must be a plain name (letters, digits, '-', '_', no trailing dot) or an IPv6 address in brackets",
            Self::Port => "the port must be a number from 1 to 65535",
            Self::Wildcard => "'*' may only stand for the whole first label, as in *.example.com",
        })
    }
}

impl core::error::Error for PatternError {}

#[cfg(test)]
mod tests;
