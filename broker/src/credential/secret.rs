//! The one type that may hold a credential.
//!
//! It has no `Display` and no `Serialize`, its `Debug` prints a placeholder,
//! comparing takes the same time wherever the values differ, and the bytes are
//! overwritten when the last owner goes. [`Secret::expose`] is the one word to
//! grep for.

use std::fmt;

use molecule_protocol::digest;
pub use molecule_protocol::limits::MAX_SECRET;
use zeroize::Zeroizing;

#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

/// Why a text can't be a credential. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    Empty,
    /// Its length in bytes.
    TooLong(usize),
    Byte,
}

impl Secret {
    /// Takes a token or bearer of 1 to [`MAX_SECRET`] visible ASCII bytes: what
    /// can stand in an HTTP header and in a line of git's credential format.
    ///
    /// # Errors
    /// [`SecretError`] says which of the three it broke.
    pub fn token(text: &str) -> Result<Self, SecretError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Byte);
        }
        Self::bounded(text)
    }

    /// Takes what a person may have chosen as a password: anything but control
    /// bytes, which git's line format can't carry.
    ///
    /// # Errors
    /// [`SecretError`] says which of the three it broke.
    pub fn password(text: &str) -> Result<Self, SecretError> {
        if text.bytes().any(|b| b.is_ascii_control()) {
            return Err(SecretError::Byte);
        }
        Self::bounded(text)
    }

    fn bounded(text: &str) -> Result<Self, SecretError> {
        match text.len() {
            0 => Err(SecretError::Empty),
            length if length > MAX_SECRET => Err(SecretError::TooLong(length)),
            _ => Ok(Self(Zeroizing::new(text.as_bytes().into()))),
        }
    }

    /// The value itself. Every call is a place where it can leave.
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
        digest::same(&self.sha256(), &other.sha256())
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
    fn an_unfit_secret_says_why() {
        let why = |text: &str| Secret::token(text).unwrap_err().to_string();
        assert_eq!(why(""), "it is empty");
        assert_eq!(why(&"x".repeat(8193)), "it has 8193 bytes, and 8192 is the limit");
        assert_eq!(why("a b"), "it holds a byte that no credential may have");
    }

    #[test]
    fn equality_is_equality_of_values() {
        let (a, b) = (Secret::token("one").unwrap(), Secret::token("two").unwrap());
        assert!(a == a.clone() && a != b);
    }
}
