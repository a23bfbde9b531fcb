//! The only type that may hold a credential in the daemon. (On its way between daemon and
//! runner it is text that is overwritten after use.)
//!
//! It has no `Display` and no `Serialize`, and its `Debug` prints a placeholder. A comparison takes
//! the same time wherever the values differ. The bytes are overwritten when the value is dropped.
//! Every use of the value is a call of [`Secret::expose`], so grep finds them all.

use std::fmt;

use molecule_protocol::digest;
pub use molecule_protocol::limits::MAX_SECRET;
use zeroize::Zeroizing;

/// Token, bearer or password.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

/// Reason why a text can't be a credential. It never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    Empty,
    /// The text has this many bytes, more than [`MAX_SECRET`].
    TooLong(usize),
    /// The text holds a byte that isn't allowed.
    Byte,
}

impl Secret {
    /// Creates a secret from a token or bearer of 1 to [`MAX_SECRET`] visible ASCII bytes, which an
    /// HTTP header and a line of git's credential format can carry.
    ///
    /// # Errors
    /// Returns a [`SecretError`] if the text is empty, is too long or holds another byte.
    pub fn token(text: &str) -> Result<Self, SecretError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Byte);
        }
        Self::from_bounded(text)
    }

    /// Creates a secret from a password that a person may have chosen: 1 to [`MAX_SECRET`] bytes,
    /// but no control bytes, which git's line format can't carry.
    ///
    /// # Errors
    /// Returns a [`SecretError`] if the text is empty, is too long or holds another byte.
    pub fn password(text: &str) -> Result<Self, SecretError> {
        if text.bytes().any(|b| b.is_ascii_control()) {
            return Err(SecretError::Byte);
        }
        Self::from_bounded(text)
    }

    fn from_bounded(text: &str) -> Result<Self, SecretError> {
        match text.len() {
            0 => Err(SecretError::Empty),
            length if length > MAX_SECRET => Err(SecretError::TooLong(length)),
            _ => Ok(Self(Zeroizing::new(text.as_bytes().into()))),
        }
    }

    /// Returns the value itself. Every call is a place where the secret can leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("every constructor takes a &str")
    }

    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        digest::sha256(&self.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        digest::are_equal(&self.sha256(), &other.sha256())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong(length) => write!(f, "it has {length} bytes, and {MAX_SECRET} is the limit"),
            Self::Byte => f.write_str("it holds a byte that no credential may have"),
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule22_tokens_with_foreign_bytes_or_sizes_are_refused() {
        for bad in ["a b", "a\n", "a\r", "\u{7f}", "tök", "a\0b"] {
            assert_eq!(Secret::token(bad).unwrap_err(), SecretError::Byte, "{bad:?}");
        }
        assert_eq!(Secret::token("").unwrap_err(), SecretError::Empty);
        assert_eq!(Secret::token(&"x".repeat(8193)).unwrap_err(), SecretError::TooLong(8193));
        for length in [1, 40, 383, 512, 513, 523, 8192] {
            assert_eq!(Secret::token(&"x".repeat(length)).unwrap().expose().len(), length);
        }
    }

    #[test]
    fn a_secret_never_prints_its_value() {
        let secret = Secret::token("ghs_canary").unwrap();
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    #[test]
    fn an_invalid_secret_gets_an_error_with_the_reason() {
        let error = |text: &str| Secret::token(text).unwrap_err().to_string();
        assert_eq!(error(""), "it is empty");
        assert_eq!(error(&"x".repeat(8193)), "it has 8193 bytes, and 8192 is the limit");
        assert_eq!(error("a b"), "it holds a byte that no credential may have");
    }

    #[test]
    fn equality_is_equality_of_values() {
        let (a, b) = (Secret::token("one").unwrap(), Secret::token("two").unwrap());
        assert!(a == a.clone() && a != b);
    }
}
