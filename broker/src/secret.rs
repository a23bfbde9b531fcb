//! The one type that may hold a credential.
//!
//! It has no `Display` and no `Serialize`, its `Debug` prints a placeholder,
//! comparing takes the same time wherever the values differ, and the bytes are
//! overwritten when the last owner goes. [`Secret::expose`] is the one word to
//! grep for.

use std::fmt;

use molecule_protocol::digest;
use zeroize::Zeroizing;

/// The longest credential taken from any source, in bytes.
pub const MAX_SECRET: usize = 512;

/// The longest bearer sent to the platform, in bytes: signed tokens are long.
pub const MAX_BEARER: usize = 4096;

#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

/// Why a text can't be a credential. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    Empty,
    TooLong,
    Byte,
}

impl Secret {
    /// Takes 1 to [`MAX_SECRET`] visible ASCII bytes: what can stand in an
    /// HTTP header and in a line of git's credential format.
    ///
    /// # Errors
    /// [`Unfit`] says which of the three it broke.
    pub fn token(text: &str) -> Result<Self, Unfit> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unfit::Byte);
        }
        Self::bounded(text, MAX_SECRET)
    }

    /// Takes what proves this workspace to the platform: 1 to [`MAX_BEARER`]
    /// visible ASCII bytes.
    ///
    /// # Errors
    /// [`Unfit`] says which of the three it broke.
    pub fn bearer(text: &str) -> Result<Self, Unfit> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unfit::Byte);
        }
        Self::bounded(text, MAX_BEARER)
    }

    /// Takes what a person may have chosen as a password: anything but control
    /// bytes, which git's line format can't carry.
    ///
    /// # Errors
    /// [`Unfit`] says which of the three it broke.
    pub fn password(text: &str) -> Result<Self, Unfit> {
        if text.bytes().any(|b| b.is_ascii_control()) {
            return Err(Unfit::Byte);
        }
        Self::bounded(text, MAX_SECRET)
    }

    fn bounded(text: &str, most: usize) -> Result<Self, Unfit> {
        match text.len() {
            0 => Err(Unfit::Empty),
            n if n > most => Err(Unfit::TooLong),
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

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => f.write_str("it is too long"),
            Self::Byte => f.write_str("it holds a byte that no credential may have"),
        }
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a22_tokens_with_foreign_bytes_or_sizes_are_refused() {
        for bad in ["a b", "a\n", "a\r", "\u{7f}", "tök", "a\0b"] {
            assert_eq!(Secret::token(bad).unwrap_err(), Unfit::Byte, "{bad:?}");
        }
        assert_eq!(Secret::token("").unwrap_err(), Unfit::Empty);
        assert_eq!(Secret::token(&"x".repeat(513)).unwrap_err(), Unfit::TooLong);
        assert_eq!(Secret::token(&"x".repeat(512)).unwrap().expose().len(), 512);
    }

    #[test]
    fn a_secret_never_prints_its_value() {
        let secret = Secret::token("ghs_canary").unwrap();
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    #[test]
    fn what_is_unfit_says_why() {
        let why = |text: &str| Secret::bearer(text).unwrap_err().to_string();
        assert_eq!(why(""), "it is empty");
        assert_eq!(why(&"x".repeat(4097)), "it is too long");
        assert_eq!(why("a b"), "it holds a byte that no credential may have");
        assert_eq!(Secret::bearer(&"x".repeat(4096)).unwrap().expose().len(), 4096);
    }

    #[test]
    fn equality_is_equality_of_values() {
        let (a, b) = (Secret::token("one").unwrap(), Secret::token("two").unwrap());
        assert!(a == a.clone() && a != b);
    }
}
