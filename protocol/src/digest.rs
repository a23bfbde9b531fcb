//! SHA-256, and a comparison of digests in constant time.

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns true if two digests are equal. The comparison takes the same time wherever
/// they differ.
#[must_use]
pub fn are_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y));
    core::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_equal_only_if_every_bit_is() {
        let digest = sha256(b"abc");
        assert!(are_equal(&digest, &sha256(b"abc")));
        for bit in 0..256 {
            let mut other = digest;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!are_equal(&digest, &other), "bit {bit}");
        }
        // Two differences that would cancel each other out in an exclusive or.
        let mut other = digest;
        other[0] ^= 1;
        other[31] ^= 1;
        assert!(!are_equal(&digest, &other));
    }
}
