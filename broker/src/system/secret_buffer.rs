//! Buffer for bytes that contain a secret: an answer, a body, a line, a file.
//!
//! A `Vec` that grows moves its bytes and leaves the old ones behind in freed memory. This buffer
//! overwrites the memory that it leaves. So its first capacity affects only speed, never safety.

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

    /// Reads to the end, but at most `limit` bytes.
    ///
    /// # Errors
    /// Returns the reader's error.
    pub fn read(mut from: impl Read, limit: usize) -> io::Result<Self> {
        let mut buffer = Self::default();
        while let Some(room) = buffer.next_room(limit) {
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

    /// Does the same as [`Self::read`] without blocking. Also returns the bytes that came before an
    /// error.
    pub async fn read_async(mut from: impl AsyncRead + Unpin, limit: usize) -> (Self, io::Result<()>) {
        let mut buffer = Self::default();
        while let Some(room) = buffer.next_room(limit) {
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

    /// Makes room for the next read and returns its size. `None` if the buffer already holds
    /// `limit` bytes.
    fn next_room(&mut self, limit: usize) -> Option<usize> {
        let left = limit.checked_sub(self.len()).filter(|left| *left > 0)?;
        if self.0.capacity() == self.len() {
            self.make_room(left.min(self.len().max(Self::FIRST_READ)));
        }
        Some(left.min(self.0.capacity() - self.len()))
    }

    /// Makes room for this many more bytes.
    fn make_room(&mut self, more: usize) {
        let needed = self.len() + more;
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            // The smaller buffer is overwritten when it is dropped here.
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

    /// Reader that gives its bytes in pieces, with an interruption before each.
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
        fn a_read_returns_all_bytes_up_to_the_limit(length in 0..9000usize, limit in 1..9000usize, piece in 1..5000usize) {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let read = SecretBuffer::read(InPieces { rest: &bytes, piece, interrupted: false }, limit).unwrap();
            prop_assert_eq!(&read[..], &bytes[..length.min(limit)]);
        }

        #[test]
        fn bytes_written_in_pieces_are_all_kept(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20), first in 0..100usize) {
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
