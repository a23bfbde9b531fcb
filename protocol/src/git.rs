//! Git's credential format, read as a stream by a shim.
//!
//! The scanner decides, key by key, what may leave the process. What the
//! daemon's decision needs is sent on, as often as it came. A server's own text
//! (`wwwauth[]`, `state[]`) is dropped unread, whatever its length. A password
//! is kept only to be hashed, and only for `erase`. Everything else is checked
//! for control bytes and dropped.

use crate::digest;
use crate::encoding;
use crate::limits::{MAX_KEY, MAX_PASSWORD, MAX_REQUEST, MAX_USERNAME};
use crate::line::{self, Fault, is_control};
use crate::request::{Client, Request, Verb};

/// Reads git's lines and builds the request from them.
///
/// In this order, what every request touches lies in its first few hundred
/// bytes.
#[repr(C)]
pub struct Scanner {
    fate: Fate,
    rejected: Option<[u8; 32]>,
    verb: Verb,
    ended: bool,
    key: Buffer<MAX_KEY>,
    frame: Buffer<MAX_REQUEST>,
    secret: Buffer<MAX_PASSWORD>,
}

/// What becomes of the value that is being read.
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
            secret: Buffer::new(),
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
            // One that is too long was never given out: only its end matters.
            Fate::Password | Fate::Credential => {
                let _ = self.secret.push(byte);
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
            Fate::Password => self.rejected = self.secret.whole().map(digest::sha256),
            Fate::Credential => self.rejected = self.secret.whole().and_then(basic_password),
            Fate::Checked | Fate::Unread => {}
        }
        self.secret.wipe();
        self.key.wipe();
        self.fate = Fate::Undecided;
        Ok(())
    }
}

/// The hash of the password in `user:password`, base64 (RFC 7617), which is
/// what git hands back for a credential with `authtype=Basic`.
fn basic_password(encoded: &[u8]) -> Option<[u8; 32]> {
    let mut out = [0; MAX_PASSWORD];
    let pair = encoding::unbase64(encoded, &mut out)?;
    let colon = pair.iter().position(|&b| b == b':')?;
    let digest = digest::sha256(&pair[colon + 1..]);
    out.fill(0);
    core::hint::black_box(&out);
    Some(digest)
}

/// The answer to the action `capability`: git-credential(1), "capability".
pub const CAPABILITIES: &str = "version 0\ncapability authtype\n";

/// A buffer that remembers that something didn't fit.
#[derive(Clone, Copy)]
#[repr(C)]
struct Buffer<const N: usize> {
    used: usize,
    overflow: bool,
    bytes: [u8; N],
}

impl<const N: usize> Buffer<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], used: 0, overflow: false }
    }

    fn push(&mut self, byte: u8) -> Result<(), Fault> {
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
    fn whole(&self) -> Option<&[u8]> {
        (!self.overflow && self.used > 0).then(|| self.get())
    }

    fn wipe(&mut self) {
        self.bytes[..self.used].fill(0);
        core::hint::black_box(&self.bytes);
        self.used = 0;
        self.overflow = false;
    }
}

/// What askpass, by its name, asks for one prompt.
///
/// # Errors
/// [`Fault::TooLong`], and a name that can't stand in a line.
pub fn request_for_prompt<'b>(
    prompt: &crate::prompt::Prompt<'_>,
    command: Option<&[u8]>,
    buffer: &'b mut [u8; MAX_REQUEST],
) -> Result<&'b [u8], Fault> {
    let mut username = Buffer::<MAX_USERNAME>::new();
    for byte in prompt.username().into_iter().flatten() {
        username.push(byte)?;
    }
    let mut request = Request::new(Verb::Get);
    request.client = Client::Askpass;
    request.command = command;
    request.protocol = Some(prompt.scheme.name().as_bytes());
    request.host = Some(prompt.host);
    request.path = prompt.path;
    request.username = username.whole();
    request.field = Some(prompt.field);
    let mut writer = line::Writer::new(buffer);
    request.write(&mut writer)?;
    let used = writer.written().len();
    Ok(&buffer[..used])
}

#[cfg(test)]
mod tests;
