//! The SHA-256 of a rejected password, computed while git passes it.
//!
//! The password is never stored as a whole, so its length needs no limit. The hash
//! function itself buffers one block of 64 bytes.

use sha2::{Digest, Sha256};

use crate::encoding;

/// Form in which git writes the password in an `erase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordForm {
    /// The value of `password`.
    Plain,
    /// The value of `credential`: base64 of `user:password` (RFC 7617). Git passes it
    /// if another helper answered with `authtype=Basic`.
    Basic,
}

/// Hash of a password that comes byte by byte.
pub(crate) struct PasswordHash {
    /// `None` before the password's first byte.
    hasher: Option<Sha256>,
    group: [u8; 4],
    group_length: usize,
    /// True after the colon between user name and password.
    past_username: bool,
    /// True after padding, which only the last group may have.
    padded: bool,
    invalid: bool,
}

impl PasswordHash {
    /// Returns a hash state of zeros, so that a static one needs no page of the program's
    /// file.
    pub(crate) const fn blank() -> Self {
        Self { hasher: None, group: [0; 4], group_length: 0, past_username: false, padded: false, invalid: false }
    }

    pub(crate) fn push(&mut self, form: PasswordForm, byte: u8) {
        match form {
            PasswordForm::Plain => self.hash(&[byte]),
            PasswordForm::Basic => self.push_base64(byte),
        }
    }

    /// Returns the hash and resets the state. Returns `None` for an empty value, and for
    /// a `credential` that isn't the base64 of `user:password`.
    pub(crate) fn take(&mut self, form: PasswordForm) -> Option<[u8; 32]> {
        let done = core::mem::replace(self, Self::blank());
        let is_valid = match form {
            PasswordForm::Plain => true,
            PasswordForm::Basic => done.past_username && done.group_length == 0 && !done.invalid,
        };
        done.hasher.filter(|_| is_valid).map(|hasher| hasher.finalize().into())
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.hasher.get_or_insert_with(Sha256::new).update(bytes);
    }

    fn push_base64(&mut self, byte: u8) {
        self.group[self.group_length] = byte;
        self.group_length += 1;
        if self.group_length < self.group.len() {
            return;
        }
        self.group_length = 0;
        let mut bytes = [0; 3];
        match encoding::unbase64(&self.group, &mut bytes) {
            Some(decoded) if !self.padded => {
                self.padded = decoded.len() < 3;
                let password = match self.past_username {
                    true => Some(decoded),
                    false => decoded.iter().position(|&b| b == b':').map(|colon| &decoded[colon + 1..]),
                };
                if let Some(password) = password {
                    self.past_username = true;
                    self.hash(password);
                }
            }
            _ => self.invalid = true,
        }
        bytes.fill(0);
        self.group.fill(0);
        core::hint::black_box((&bytes, &self.group));
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::digest;

    fn hashed(form: PasswordForm, text: &[u8]) -> Option<[u8; 32]> {
        let mut hash = PasswordHash::blank();
        text.iter().for_each(|&byte| hash.push(form, byte));
        hash.take(form)
    }

    fn base64(bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; bytes.len().div_ceil(3) * 4];
        encoding::base64(bytes, &mut out).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn rule53_a_password_of_any_length_is_hashed_whole() {
        for length in [1, 40, 383, 512, 513, 2_048, 2_049, 8_192, 20_000] {
            let password = vec![b'x'; length];
            let expected = Some(digest::sha256(&password));
            assert_eq!(hashed(PasswordForm::Plain, &password), expected, "{length}");
            let pair = [b"x-access-token:", &password[..]].concat();
            assert_eq!(hashed(PasswordForm::Basic, &base64(&pair)), expected, "{length}");
        }
    }

    #[test]
    fn a_value_that_is_not_base64_of_a_pair_has_no_hash() {
        for text in [&b""[..], b"!!!!", b"dTpw=", b"dTpw=abc", b"dQ==OnA=", b"dTpw", b"bm9jb2xvbg=="] {
            let expected = (text == b"dTpw").then(|| digest::sha256(b"p"));
            assert_eq!(hashed(PasswordForm::Basic, text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_second_password_is_hashed_separately() {
        let mut hash = PasswordHash::blank();
        hash.push(PasswordForm::Basic, b'!');
        assert_eq!(hash.take(PasswordForm::Basic), None);
        hash.push(PasswordForm::Plain, b'p');
        assert_eq!(hash.take(PasswordForm::Plain), Some(digest::sha256(b"p")));
    }

    proptest! {
        #[test]
        fn a_pair_is_hashed_from_after_its_first_colon(pair in "[a-z]{0,9}:[ -~]{0,70}") {
            let (_, password) = pair.split_once(':').unwrap();
            prop_assert_eq!(hashed(PasswordForm::Basic, &base64(pair.as_bytes())), Some(digest::sha256(password.as_bytes())));
        }
    }
}
