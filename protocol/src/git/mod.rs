//! Git's credential format, read as a stream by a shim.
//!
//! The scanner decides, key by key, what may leave the process. What the
//! daemon's decision needs is sent on, as often as it came. A server's own text
//! (`wwwauth[]`, `state[]`) is dropped unread, whatever its length. A password
//! is hashed as it comes, and only for `erase`; it is never kept. Everything
//! else is checked for control bytes and dropped.

use crate::encoding;
use crate::limits::{MAX_KEY, MAX_REQUEST};
use crate::line::{self, Fault, is_control};
use crate::rejected::{PasswordForm, PasswordHash};
use crate::request::{Client, Verb};

/// Reads git's lines and builds the request from them.
///
/// In this order, what every request touches lies in its first few hundred
/// bytes.
#[repr(C)]
pub struct Scanner {
    fate: Fate,
    rejected: Option<[u8; 32]>,
    password: PasswordHash,
    verb: Verb,
    ended: bool,
    key: Buffer<MAX_KEY>,
    frame: Buffer<MAX_REQUEST>,
}

/// Destination of the value that is being read. The first variant is zero, as [`Scanner::blank`] needs it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its key isn't complete yet.
    Undecided,
    SentOn,
    Password,
    Credential,
    Checked,
    Unread,
}

impl Scanner {
    /// All zeros, so that a static one costs no page before it is used.
    #[must_use]
    pub const fn blank() -> Self {
        Self {
            frame: Buffer::new(),
            key: Buffer::new(),
            password: PasswordHash::blank(),
            fate: Fate::Undecided,
            rejected: None,
            verb: Verb::Get,
            ended: false,
        }
    }

    /// # Errors
    /// None for the verbs that git knows: their heads fit.
    pub fn new(verb: Verb) -> Result<Self, Fault> {
        let mut scanner = Self::blank();
        scanner.open(verb, None)?;
        Ok(scanner)
    }

    /// Makes a blank one ready for this verb, asked by a program of this name.
    ///
    /// # Errors
    /// The name can't stand in a line.
    pub fn open(&mut self, verb: Verb, command: Option<&[u8]>) -> Result<(), Fault> {
        let mut writer = line::Writer::new(&mut self.frame.bytes);
        writer.head(verb.name())?;
        writer.pair("client", Client::Helper.name().as_bytes())?;
        command.map_or(Ok(()), |name| writer.pair("command", name))?;
        self.frame.used = writer.written().len();
        self.verb = verb;
        Ok(())
    }

    /// Takes the next bytes of git's. `true` once its empty line came: what
    /// follows is ignored.
    ///
    /// # Errors
    /// The first [`Fault`]: then the whole request is refused.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        for &byte in bytes {
            if self.ended {
                break;
            }
            match byte {
                b'\n' => self.end_line()?,
                _ if self.fate == Fate::Undecided => self.key_byte(byte)?,
                _ => self.value_byte(byte)?,
            }
        }
        Ok(self.ended)
    }

    /// The request, after git's empty line or the end of its input. `None` for
    /// an `erase` that names no password: there is nothing to tell.
    ///
    /// # Errors
    /// The last line's [`Fault`].
    pub fn finish(&mut self) -> Result<Option<&[u8]>, Fault> {
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

    fn key_byte(&mut self, byte: u8) -> Result<(), Fault> {
        if is_control(byte) {
            return Err(Fault::Control);
        }
        if byte != b'=' {
            // A key past its limit is unknown, whatever it goes on with.
            let _ = self.key.push(byte);
            return Ok(());
        }
        self.fate = match self.key.get() {
            b"" => return Err(Fault::NoKey),
            b"protocol" | b"host" | b"path" | b"username" | b"url" | b"capability[]" => Fate::SentOn,
            b"wwwauth[]" | b"state[]" => Fate::Unread,
            b"password" if self.verb == Verb::Erase => Fate::Password,
            b"credential" if self.verb == Verb::Erase => Fate::Credential,
            _ => Fate::Checked,
        };
        if self.fate == Fate::SentOn {
            let key = self.key;
            self.frame.append(key.get())?;
            self.frame.append(b"=")?;
        }
        Ok(())
    }

    fn value_byte(&mut self, byte: u8) -> Result<(), Fault> {
        if self.fate != Fate::Unread && is_control(byte) {
            return Err(Fault::Control);
        }
        match self.fate {
            Fate::SentOn => self.frame.append(&[byte]),
            Fate::Password => {
                self.password.push(PasswordForm::Plain, byte);
                Ok(())
            }
            Fate::Credential => {
                self.password.push(PasswordForm::Basic, byte);
                Ok(())
            }
            Fate::Undecided | Fate::Checked | Fate::Unread => Ok(()),
        }
    }

    fn end_line(&mut self) -> Result<(), Fault> {
        match self.fate {
            Fate::Undecided if self.key.used == 0 => self.ended = true,
            Fate::Undecided => return Err(Fault::NoKey),
            Fate::SentOn => self.frame.append(b"\n")?,
            Fate::Password => self.rejected = self.password.take(PasswordForm::Plain),
            Fate::Credential => self.rejected = self.password.take(PasswordForm::Basic),
            Fate::Checked | Fate::Unread => {}
        }
        self.key.clear();
        self.fate = Fate::Undecided;
        Ok(())
    }
}

/// The answer to the action `capability` (git-credential(1), "capability"):
/// nothing beyond the first version of the format is offered.
pub const CAPABILITIES: &str = "version 0\n";

/// A buffer that remembers that something didn't fit.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Buffer<const N: usize> {
    used: usize,
    overflow: bool,
    bytes: [u8; N],
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], used: 0, overflow: false }
    }

    pub(crate) fn push(&mut self, byte: u8) -> Result<(), Fault> {
        self.append(&[byte])
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let end = self.used + bytes.len();
        let Some(room) = self.bytes.get_mut(self.used..end) else {
            self.overflow = true;
            return Err(Fault::TooLong);
        };
        room.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// `None` if some of it was lost, or there is none.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        (!self.overflow && self.used > 0).then(|| self.get())
    }

    fn clear(&mut self) {
        self.used = 0;
        self.overflow = false;
    }
}

#[cfg(test)]
mod tests;
