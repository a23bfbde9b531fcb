//! Git's credential format, read as a stream by a shim.
//!
//! For each key, the scanner decides whether its value may leave the process. Values
//! that the daemon needs for its decision are sent on, as often as they came. A
//! server's own text (`wwwauth[]`, `state[]`) is dropped unread, whatever its length.
//! A password is hashed while it is read, and only for `erase`; it is never stored.
//! All other values are checked for control bytes and dropped.

use crate::buffer::Buffer;
use crate::encoding;
use crate::limits::{MAX_KEY, MAX_REQUEST};
use crate::line::{self, FormatError, is_control};
use crate::rejected::{PasswordForm, PasswordHash};
use crate::request::{ClientKind, Verb};

/// Reader of git's lines that builds the request from them.
///
/// The fields are in this order so that every request touches only the first few
/// hundred bytes.
#[repr(C)]
pub struct Scanner {
    destination: Destination,
    rejected: Option<[u8; 32]>,
    password: PasswordHash,
    verb: Verb,
    ended: bool,
    key: Buffer<MAX_KEY>,
    frame: Buffer<MAX_REQUEST>,
}

/// Destination of the value that is being read. The first variant is zero, as
/// [`Scanner::blank`] requires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// The key isn't complete yet.
    Undecided,
    /// The request.
    SentOn,
    /// The hash of a plain password.
    Password,
    /// The hash of the password in a base64 pair.
    Credential,
    /// None, after a check for control bytes.
    Checked,
    /// None, without a check.
    Unread,
}

impl Scanner {
    /// Returns a scanner of zeros, so that a static one takes no memory page before it is
    /// used.
    #[must_use]
    pub const fn blank() -> Self {
        Self {
            frame: Buffer::new(),
            key: Buffer::new(),
            password: PasswordHash::blank(),
            destination: Destination::Undecided,
            rejected: None,
            verb: Verb::Get,
            ended: false,
        }
    }

    /// Returns a scanner that is ready for this verb, without a program's name.
    ///
    /// # Errors
    /// None for the verbs that git knows: their heads fit.
    pub fn new(verb: Verb) -> Result<Self, FormatError> {
        let mut scanner = Self::blank();
        scanner.begin(verb, None)?;
        Ok(scanner)
    }

    /// Makes a blank scanner ready for this verb and the client program's name.
    ///
    /// # Errors
    /// The name is too long or can't be in a line.
    pub fn begin(&mut self, verb: Verb, command: Option<&[u8]>) -> Result<(), FormatError> {
        let mut writer = line::MessageWriter::new(&mut self.frame.bytes);
        writer.head(verb.name())?;
        writer.pair("client", ClientKind::Helper.name().as_bytes())?;
        command.map_or(Ok(()), |name| writer.pair("command", name))?;
        self.frame.used = writer.written().len();
        self.verb = verb;
        Ok(())
    }

    /// Reads the next bytes from git. Returns true after the empty line; all bytes after
    /// it are ignored.
    ///
    /// # Errors
    /// The first [`FormatError`], which refuses the whole request.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, FormatError> {
        for &byte in bytes {
            if self.ended {
                break;
            }
            match byte {
                b'\n' => self.end_line()?,
                _ if self.destination == Destination::Undecided => self.push_key_byte(byte)?,
                _ => self.push_value_byte(byte)?,
            }
        }
        Ok(self.ended)
    }

    /// Returns the request, after git's empty line or the end of its input. Returns
    /// `None` for an `erase` without a password, about which there is nothing to send.
    ///
    /// # Errors
    /// A [`FormatError`] in the last line.
    pub fn finish(&mut self) -> Result<Option<&[u8]>, FormatError> {
        if !self.ended {
            self.end_line()?;
        }
        if self.verb == Verb::Erase {
            let Some(rejected) = self.rejected else {
                return Ok(None);
            };
            self.frame.append(b"sha256=")?;
            self.frame.append(&encoding::hex(&rejected))?;
            self.frame.append(b"\n")?;
        }
        self.frame.append(b"\n")?;
        Ok(Some(self.frame.get()))
    }

    fn push_key_byte(&mut self, byte: u8) -> Result<(), FormatError> {
        if is_control(byte) {
            return Err(FormatError::Control);
        }
        if byte != b'=' {
            // A key longer than the limit is an unknown key.
            let _ = self.key.push(byte);
            return Ok(());
        }
        self.destination = match self.key.get() {
            b"" => return Err(FormatError::NoKey),
            b"protocol" | b"host" | b"path" | b"username" | b"url" | b"capability[]" => Destination::SentOn,
            b"wwwauth[]" | b"state[]" => Destination::Unread,
            b"password" if self.verb == Verb::Erase => Destination::Password,
            b"credential" if self.verb == Verb::Erase => Destination::Credential,
            _ => Destination::Checked,
        };
        if self.destination == Destination::SentOn {
            let key = self.key;
            self.frame.append(key.get())?;
            self.frame.append(b"=")?;
        }
        Ok(())
    }

    fn push_value_byte(&mut self, byte: u8) -> Result<(), FormatError> {
        if self.destination != Destination::Unread && is_control(byte) {
            return Err(FormatError::Control);
        }
        match self.destination {
            Destination::SentOn => self.frame.append(&[byte]),
            Destination::Password => {
                self.password.push(PasswordForm::Plain, byte);
                Ok(())
            }
            Destination::Credential => {
                self.password.push(PasswordForm::Basic, byte);
                Ok(())
            }
            Destination::Undecided | Destination::Checked | Destination::Unread => Ok(()),
        }
    }

    fn end_line(&mut self) -> Result<(), FormatError> {
        match self.destination {
            Destination::Undecided if self.key.used == 0 => self.ended = true,
            Destination::Undecided => return Err(FormatError::NoKey),
            Destination::SentOn => self.frame.append(b"\n")?,
            Destination::Password => self.rejected = self.password.take(PasswordForm::Plain),
            Destination::Credential => self.rejected = self.password.take(PasswordForm::Basic),
            Destination::Checked | Destination::Unread => {}
        }
        self.key.clear();
        self.destination = Destination::Undecided;
        Ok(())
    }
}

/// The answer to the action `capability` (git-credential(1), "capability"). It offers
/// nothing beyond the first version of the format.
pub const CAPABILITIES: &str = "version 0\n";

#[cfg(test)]
mod tests;
