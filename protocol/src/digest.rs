//! SHA-256, and a comparison that takes the same time for any difference.

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Compares two digests in constant time, so that the duration doesn't tell where
/// they differ.
#[must_use]
pub fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y));
    core::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_same_if_every_bit_is() {
        let digest = sha256(b"abc");
        assert!(same(&digest, &sha256(b"abc")));
        for bit in 0..256 {
            let mut other = digest;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same(&digest, &other), "bit {bit}");
        }
        // Two differences that would cancel each other out.
        let mut other = digest;
        other[0] ^= 1;
        other[31] ^= 1;
        assert!(!same(&digest, &other));
    }
}
