//! Bounded text, for paths and for the line on stderr.

use crate::protocol::line::is_control;
use crate::sys::Arg;

/// A text of at most `N` bytes that records whether some of it was cut off.
#[derive(Clone, Copy)]
pub(crate) struct BoundedText<const N: usize> {
    bytes: [u8; N],
    used: usize,
    cut: bool,
}

impl<const N: usize> BoundedText<N> {
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], used: 0, cut: false }
    }

    /// Joins pieces, and cuts off the bytes that don't fit.
    #[must_use]
    pub(crate) fn concat(pieces: &[&[u8]]) -> Self {
        let mut text = Self::new();
        for piece in pieces {
            text.push(piece);
        }
        text
    }

    /// Appends bytes, and cuts off those that don't fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(N - self.used);
        self.bytes[self.used..self.used + length].copy_from_slice(&bytes[..length]);
        self.used += length;
        self.cut |= length < bytes.len();
    }

    /// Appends untrusted text. Control characters, which could steer a terminal, become
    /// `?`.
    pub(crate) fn push_untrusted(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.push(&[if is_control(byte) { b'?' } else { byte }]);
        }
    }

    pub(crate) fn push_number(&mut self, number: u32) {
        if number > 9 {
            self.push_number(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }

    #[must_use]
    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Returns the text, or `None` if some of it was cut off.
    #[must_use]
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        (!self.cut).then(|| self.get())
    }

    /// Returns the text with a NUL, for the kernel. `None` if it doesn't fit with its NUL.
    #[must_use]
    pub(crate) fn arg(&mut self) -> Option<Arg<'_>> {
        if self.cut || self.used == N {
            return None;
        }
        self.bytes[self.used] = 0;
        Arg::new(&self.bytes[..=self.used])
    }
}

impl<const N: usize> Default for BoundedText<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the folder of a path.
#[must_use]
pub(crate) fn parent_folder(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&b| b == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_was_cut_is_never_passed_on_as_whole() {
        let mut text = BoundedText::<4>::concat(&[b"abc"]);
        assert_eq!(text.arg().map(Arg::bytes), Some(&b"abc"[..]));
        text.push(b"de");
        assert_eq!((text.get(), text.whole()), (&b"abcd"[..], None));
        assert!(text.arg().is_none());
    }

    #[test]
    fn untrusted_text_cannot_steer_a_terminal() {
        let mut text = BoundedText::<16>::new();
        text.push_untrusted(b"a\x1b[1m\n");
        text.push_number(1000);
        assert_eq!(text.get(), b"a?[1m?1000");
    }

    #[test]
    fn a_path_has_a_folder() {
        assert_eq!(parent_folder(b"/run/x/broker.sock"), b"/run/x");
        assert_eq!((parent_folder(b"/x"), parent_folder(b"x")), (&b"/"[..], &b"."[..]));
    }
}
