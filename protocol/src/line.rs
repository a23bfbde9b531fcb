//! The format of a line, and the strict writer of lines.

use crate::limits::VERSION_WORD;

/// Returns true for a control byte, which is never valid in a key or a value. A bare CR
/// is one (CVE-2024-52006).
#[must_use]
pub const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// The reason why a message isn't valid, or doesn't fit its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// A line has no `=`, or nothing before it.
    NoKey,
    /// A key or a value contains a control byte.
    Control,
    /// A key that may come once came twice.
    Twice,
    /// A part is longer than its limit.
    TooLong,
    /// The head isn't `molecule/1 WORD` with a known word.
    Head,
    /// A value isn't valid for its key.
    Value,
}

impl FormatError {
    /// Returns the reason in words. It never quotes the input.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoKey => "a line isn't key=value",
            Self::Control => "a line contains a control byte",
            Self::Twice => "a key came twice",
            Self::TooLong => "the request is too long",
            Self::Head => "the first line isn't a request of protocol version 1",
            Self::Value => "a key has a value that isn't valid for it",
        }
    }
}

/// Splits one line, without its LF, into key and value.
///
/// # Errors
/// [`FormatError::NoKey`] and [`FormatError::Control`].
pub fn split_pair(line: &[u8]) -> Result<(&[u8], &[u8]), FormatError> {
    if line.iter().copied().any(is_control) {
        return Err(FormatError::Control);
    }
    match line.iter().position(|&b| b == b'=') {
        None | Some(0) => Err(FormatError::NoKey),
        Some(at) => Ok((&line[..at], &line[at + 1..])),
    }
}

/// Writer of a message's lines into a borrowed buffer. After a failed write, the content
/// of the buffer must not be used.
pub struct MessageWriter<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl<'b> MessageWriter<'b> {
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Writes the head line: the version word, then `word`.
    ///
    /// # Errors
    /// [`FormatError::TooLong`].
    pub fn head(&mut self, word: &str) -> Result<(), FormatError> {
        for piece in [VERSION_WORD, " ", word, "\n"] {
            self.raw(piece.as_bytes())?;
        }
        Ok(())
    }

    /// Writes one `key=value` line.
    ///
    /// # Errors
    /// [`FormatError::Control`] if the value would forge another line, and
    /// [`FormatError::TooLong`].
    pub fn pair(&mut self, key: &str, value: &[u8]) -> Result<(), FormatError> {
        if value.iter().copied().any(is_control) {
            return Err(FormatError::Control);
        }
        for piece in [key.as_bytes(), b"=", value, b"\n"] {
            self.raw(piece)?;
        }
        Ok(())
    }

    /// Writes the empty line that ends the message.
    ///
    /// # Errors
    /// [`FormatError::TooLong`].
    pub fn end(&mut self) -> Result<(), FormatError> {
        self.raw(b"\n")
    }

    /// Writes bytes that the caller has checked.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let end = self.used + bytes.len();
        self.buffer.get_mut(self.used..end).ok_or(FormatError::TooLong)?.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.buffer[..self.used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule06_every_control_byte_is_refused_in_key_and_value() {
        for byte in (0..0x20).chain([0x7f]) {
            assert_eq!(split_pair(&[b'a', b'=', byte]), Err(FormatError::Control), "{byte:#x}");
            assert_eq!(split_pair(&[byte, b'=', b'a']), Err(FormatError::Control), "{byte:#x}");
        }
    }

    #[test]
    fn rule10_a_line_needs_a_key_and_an_equals_sign() {
        assert_eq!(split_pair(b"host"), Err(FormatError::NoKey));
        assert_eq!(split_pair(b"=github.com"), Err(FormatError::NoKey));
        assert_eq!(split_pair(b"a=b=c"), Ok((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split_pair(b"a="), Ok((&b"a"[..], &b""[..])));
    }

    #[test]
    fn every_error_has_its_own_reason() {
        use FormatError::{Control, Head, NoKey, TooLong, Twice, Value};
        let reasons = [NoKey, Control, Twice, TooLong, Head, Value].map(FormatError::reason);
        for (at, reason) in reasons.iter().enumerate() {
            assert!(reason.contains(' ') && !reasons[..at].contains(reason), "{reason}");
        }
    }

    #[test]
    fn a_writer_never_forges_a_line() {
        let mut buffer = [0; 64];
        let mut writer = MessageWriter::new(&mut buffer);
        assert_eq!(writer.pair("host", b"a\nusername=b"), Err(FormatError::Control));
    }

    #[test]
    fn a_writer_stops_at_the_end_of_its_buffer() {
        let mut buffer = [0; 8];
        assert_eq!(MessageWriter::new(&mut buffer).pair("host", b"github.com"), Err(FormatError::TooLong));
    }
}
