//! The format of a line, and the strict writer of lines.

use crate::limits::VERSION;

/// A byte that ends nothing and means nothing: it has no place in a key or a
/// value. A bare CR is one of them (CVE-2024-52006).
#[must_use]
pub const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Why bytes are no line, or don't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line without `=`, or with nothing before it.
    NoKey,
    /// A control byte in a key or a value.
    Control,
    /// A key that may come once came twice.
    Twice,
    /// More than its limit allows.
    TooLong,
    /// The head isn't `molecule/1 WORD` with a known word.
    Head,
    /// A value that its key doesn't allow.
    Value,
}

impl Fault {
    /// The fault in words, without the input.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoKey => "a line is not key=value",
            Self::Control => "a line holds a control byte",
            Self::Twice => "a key came twice",
            Self::TooLong => "it is too long",
            Self::Head => "its first line is not that of a request of protocol version 1",
            Self::Value => "a key has a value that it can't have",
        }
    }
}

/// Splits one line (without its LF) into key and value.
///
/// # Errors
/// [`Fault::NoKey`] and [`Fault::Control`].
pub fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if line.iter().copied().any(is_control) {
        return Err(Fault::Control);
    }
    match line.iter().position(|&b| b == b'=') {
        None | Some(0) => Err(Fault::NoKey),
        Some(at) => Ok((&line[..at], &line[at + 1..])),
    }
}

/// Writes lines into a borrowed buffer. After a write has failed, the content of
/// the buffer must not be used.
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl<'b> Writer<'b> {
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// The version word and what follows it.
    ///
    /// # Errors
    /// [`Fault::TooLong`].
    pub fn head(&mut self, word: &str) -> Result<(), Fault> {
        for piece in [VERSION, " ", word, "\n"] {
            self.raw(piece.as_bytes())?;
        }
        Ok(())
    }

    /// One `key=value` line.
    ///
    /// # Errors
    /// [`Fault::Control`]: the value would forge another line;
    /// [`Fault::TooLong`].
    pub fn pair(&mut self, key: &str, value: &[u8]) -> Result<(), Fault> {
        if value.iter().copied().any(is_control) {
            return Err(Fault::Control);
        }
        for piece in [key.as_bytes(), b"=", value, b"\n"] {
            self.raw(piece)?;
        }
        Ok(())
    }

    /// The empty line that makes the message whole.
    ///
    /// # Errors
    /// [`Fault::TooLong`].
    pub fn end(&mut self) -> Result<(), Fault> {
        self.raw(b"\n")
    }

    /// Bytes that the caller has checked.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let end = self.used + bytes.len();
        self.buffer.get_mut(self.used..end).ok_or(Fault::TooLong)?.copy_from_slice(bytes);
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
            assert_eq!(split(&[b'a', b'=', byte]), Err(Fault::Control), "{byte:#x}");
            assert_eq!(split(&[byte, b'=', b'a']), Err(Fault::Control), "{byte:#x}");
        }
    }

    #[test]
    fn rule10_a_line_needs_a_key_and_an_equals_sign() {
        assert_eq!(split(b"host"), Err(Fault::NoKey));
        assert_eq!(split(b"=github.com"), Err(Fault::NoKey));
        assert_eq!(split(b"a=b=c"), Ok((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split(b"a="), Ok((&b"a"[..], &b""[..])));
    }

    #[test]
    fn every_fault_has_words_of_its_own() {
        use Fault::{Control, Head, NoKey, TooLong, Twice, Value};
        let reasons = [NoKey, Control, Twice, TooLong, Head, Value].map(Fault::reason);
        for (at, reason) in reasons.iter().enumerate() {
            assert!(reason.contains(' ') && !reasons[..at].contains(reason), "{reason}");
        }
    }

    #[test]
    fn a_writer_never_forges_a_line() {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(writer.pair("host", b"a\nusername=b"), Err(Fault::Control));
    }

    #[test]
    fn a_writer_stops_at_the_end_of_its_buffer() {
        let mut buffer = [0; 8];
        assert_eq!(Writer::new(&mut buffer).pair("host", b"github.com"), Err(Fault::TooLong));
    }
}
