//! Hexadecimal and base64, without an allocator.

use base64ct::{Base64, Encoding};

/// Returns the 64 lower-case hexadecimal digits of a digest.
#[must_use]
pub fn hex(digest: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

/// Reads a digest from 64 hexadecimal digits of either case.
#[must_use]
pub fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? * 16 + nibble(pair[1])?;
    }
    Some(out)
}

pub(crate) const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Returns the base64 of a digest, as GitHub's audit log shows the SHA-256 of a token
/// ("Identifying audit log events performed by an access token", GitHub docs).
///
/// # Panics
/// Never: 32 bytes are 44 characters.
#[must_use]
pub fn base64_digest(digest: &[u8; 32]) -> [u8; 44] {
    let mut out = [0; 44];
    let text = Base64::encode(digest, &mut out);
    debug_assert!(text.is_ok_and(|t| t.len() == 44));
    out
}

/// Encodes into a buffer. Only tests need this: no message holds base64 that this
/// project writes.
#[cfg(test)]
#[must_use]
pub(crate) fn base64<'o>(bytes: &[u8], out: &'o mut [u8]) -> Option<&'o str> {
    Base64::encode(bytes, out).ok()
}

/// Decodes padded standard base64 into a buffer.
#[must_use]
pub fn unbase64<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    Base64::decode(text, out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_comes_back() {
        let digest = crate::digest::sha256(b"test");
        let text = hex(&digest);
        assert_eq!(&text[..8], b"9f86d081");
        assert_eq!(unhex(&text), Some(digest));
        assert_eq!(unhex(&text.map(|digit| digit.to_ascii_uppercase())), Some(digest));
        assert_eq!(unhex(&text[1..]), None);
        assert_eq!(unhex(&[b'g'; 64]), None);
    }

    #[test]
    fn base64_comes_back_or_reports_that_it_does_not_fit() {
        let (mut text, mut bytes) = ([0; 8], [0; 6]);
        assert_eq!(base64(b"a:b", &mut text), Some("YTpi"));
        assert_eq!(base64(b"a:bcd", &mut text), Some("YTpiY2Q="));
        assert_eq!(base64(b"a:bcdef", &mut text), None);
        assert_eq!(unbase64(b"YTpiY2Q=", &mut bytes), Some(&b"a:bcd"[..]));
        assert_eq!(unbase64(b"YTpiY2Q", &mut bytes), None);
        assert_eq!(unbase64(b"YTpiYTpiYTpi", &mut bytes), None);
    }

    #[test]
    fn a_digest_is_encoded_as_github_shows_it() {
        // printf test | openssl dgst -sha256 -binary | base64
        let shown = base64_digest(&crate::digest::sha256(b"test"));
        assert_eq!(&shown, b"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=");
    }
}
