//! Bytes that hold a secret on its way: an answer, a body, a line, a file.
//!
//! A `Vec` that grows moves its bytes and leaves the old ones behind in freed
//! memory. This buffer overwrites what it leaves, so its first capacity is a
//! matter of speed and never of safety.

use std::io::{self, Read, Write};
use std::ops::Deref;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

/// Growable bytes, overwritten when they move and when they are dropped.
#[derive(Default)]
pub struct SecretBuffer(Zeroizing<Vec<u8>>);

impl SecretBuffer {
    const FIRST_READ: usize = 1024;

    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    pub fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Reads to the end, and at most `most` bytes.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(mut from: impl Read, most: usize) -> io::Result<Self> {
        let mut buffer = Self::default();
        while let Some(room) = buffer.next_room(most) {
            let start = buffer.len();
            buffer.0.resize(start + room, 0);
            let count = match from.read(&mut buffer.0[start..]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    buffer.0.truncate(start);
                    continue;
                }
                Err(error) => return Err(error),
            };
            buffer.0.truncate(start + count);
            if count == 0 {
                break;
            }
        }
        Ok(buffer)
    }

    /// The same without blocking. What came before an error is kept.
    pub async fn read_async(mut from: impl AsyncRead + Unpin, most: usize) -> (Self, io::Result<()>) {
        let mut buffer = Self::default();
        while let Some(room) = buffer.next_room(most) {
            let start = buffer.len();
            buffer.0.resize(start + room, 0);
            let count = from.read(&mut buffer.0[start..]).await;
            buffer.0.truncate(start + count.as_ref().map_or(0, |count| *count));
            match count {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return (buffer, Err(error)),
            }
        }
        (buffer, Ok(()))
    }

    /// Makes room for the next read and says how much there is. `None` once
    /// `most` bytes are there.
    fn next_room(&mut self, most: usize) -> Option<usize> {
        let left = most.checked_sub(self.len()).filter(|left| *left > 0)?;
        if self.0.capacity() == self.len() {
            self.make_room(left.min(self.len().max(Self::FIRST_READ)));
        }
        Some(left.min(self.0.capacity() - self.len()))
    }

    fn make_room(&mut self, more: usize) {
        let needed = self.len() + more;
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            // The smaller one is overwritten as it is dropped.
            self.0 = larger;
        }
    }
}

impl Deref for SecretBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Write for SecretBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in pieces, with an interruption before each.
    struct InPieces<'a> {
        rest: &'a [u8],
        piece: usize,
        interrupted: bool,
    }

    impl Read for InPieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = self.piece.min(self.rest.len()).min(to.len());
            let (piece, rest) = self.rest.split_at(count);
            to[..count].copy_from_slice(piece);
            self.rest = rest;
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_whole_up_to_the_limit(length in 0..9000usize, most in 1..9000usize, piece in 1..5000usize) {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let read = SecretBuffer::read(InPieces { rest: &bytes, piece, interrupted: false }, most).unwrap();
            prop_assert_eq!(&read[..], &bytes[..length.min(most)]);
        }

        #[test]
        fn what_is_written_in_pieces_is_whole(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20), first in 0..100usize) {
            let mut buffer = SecretBuffer::with_capacity(first);
            pieces.iter().for_each(|piece| buffer.extend(piece));
            prop_assert_eq!(&buffer[..], pieces.concat());
        }
    }

    #[tokio::test]
    async fn reading_without_blocking_ends_at_the_limit_too() {
        let bytes = [7; 5000];
        let (read, end) = SecretBuffer::read_async(&bytes[..], 4000).await;
        assert!(end.is_ok() && read[..] == bytes[..4000]);
        let (read, _) = SecretBuffer::read_async(&bytes[..], 9000).await;
        assert_eq!(read[..], bytes);
    }
}
