//! A bounded buffer without an allocator.

use crate::line::FormatError;

/// A buffer of `N` bytes that takes an addition whole or not at all, and records
/// whether one didn't fit.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Buffer<const N: usize> {
    pub(crate) used: usize,
    overflow: bool,
    pub(crate) bytes: [u8; N],
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], used: 0, overflow: false }
    }

    pub(crate) fn push(&mut self, byte: u8) -> Result<(), FormatError> {
        self.append(&[byte])
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let end = self.used + bytes.len();
        let Some(room) = self.bytes.get_mut(self.used..end) else {
            self.overflow = true;
            return Err(FormatError::TooLong);
        };
        room.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Returns the content, or `None` if an addition didn't fit or the buffer is empty.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        (!self.overflow && self.used > 0).then(|| self.get())
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.overflow = false;
    }
}
