//! The byte format of a lease memory: magic, version, length, content, and a SHA-256 over all
//! of it. Pure.
//!
//! Bytes that aren't exactly what [`encode`] writes are a [`FormatError`], and none of them is
//! used. The digest detects accidents. The seals, and the process that passed the memory on,
//! guarantee that no other process wrote it.
//!
//! Instants of the boot clock are written as in the initial time namespace, because the next
//! daemon may run in another one (time_namespaces(7)).

use std::sync::Arc;
use std::time::Duration;

use molecule_protocol::digest;

use super::{Carried, CarriedLeases};
use crate::credential::lease::{Lease, SourceKind};
use crate::credential::secret::Secret;
use crate::system::secret_buffer::SecretBuffer;
use crate::system::time::{Boot, Deadline, Moment};

/// Largest size of a memory: more than five times the size that a hundred credentials need, each
/// with three tokens of the greatest length.
pub const MAX_BYTES: usize = 1 << 24;

const MAGIC: &[u8; 14] = b"molecule-lease";
const VERSION: u16 = 1;
const HEAD: usize = MAGIC.len() + 2 + 4;
const DIGEST: usize = 32;

/// The leases of all credentials at one instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Number of the snapshot. The newest has the highest.
    pub sequence: u64,
    carried: Carried,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The bytes aren't a lease memory, or they are cut short, or longer than they should be.
    Malformed,
    /// Written by another version of this program.
    Version(u16),
    /// Changed since it was written.
    Digest,
}

impl Snapshot {
    /// Takes a snapshot of a daemon's leases. The daemon's boot clock is ahead of the
    /// initial time namespace's by `offset` nanoseconds.
    #[must_use]
    pub fn new(sequence: u64, carried: &Carried, offset: i128) -> Self {
        Self { sequence, carried: shifted(carried, -offset) }
    }

    /// Returns the leases for a daemon whose boot clock is ahead of the initial time
    /// namespace's by `offset` nanoseconds.
    #[must_use]
    pub fn to_carried(&self, offset: i128) -> Carried {
        shifted(&self.carried, offset)
    }
}

/// Returns a copy whose instants of the boot clock are later by `by` nanoseconds.
fn shifted(carried: &Carried, by: i128) -> Carried {
    let boot = |at: Boot| {
        let nanos = i128::try_from(at.as_nanos()).unwrap_or(i128::MAX).saturating_add(by).max(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    let mut shifted = carried.clone();
    for lease in shifted.values_mut().flat_map(|carried| &mut carried.leases) {
        lease.received.boot = boot(lease.received.boot);
        if let Some(deadline) = &mut lease.deadline {
            deadline.boot = boot(deadline.boot);
        }
    }
    shifted
}

#[must_use]
pub fn encode(snapshot: &Snapshot) -> SecretBuffer {
    let mut content = FormatWriter(SecretBuffer::default());
    content.snapshot(snapshot);
    let content = content.0;
    let mut out = FormatWriter(SecretBuffer::with_capacity(HEAD + content.len() + DIGEST));
    out.raw(MAGIC);
    out.raw(&VERSION.to_le_bytes());
    out.raw(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.raw(&content);
    let sha256 = digest::sha256(&out.0);
    out.raw(&sha256);
    out.0
}

/// Decodes the bytes of a lease memory.
///
/// # Errors
/// Returns [`FormatError`] if they aren't exactly what [`encode`] writes.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, FormatError> {
    if bytes.len() > MAX_BYTES {
        return Err(FormatError::Malformed);
    }
    let rest = bytes.strip_prefix(MAGIC).ok_or(FormatError::Malformed)?;
    let mut head = FormatReader(rest);
    let version = u16::from_le_bytes(head.array()?);
    if version != VERSION {
        return Err(FormatError::Version(version));
    }
    let length = u32::from_le_bytes(head.array()?) as usize;
    let whole = length.checked_add(HEAD).and_then(|length| bytes.split_at_checked(length));
    let (covered, sha256) = whole.ok_or(FormatError::Malformed)?;
    let sha256: &[u8; DIGEST] = sha256.try_into().map_err(|_| FormatError::Malformed)?;
    if !digest::are_equal(&digest::sha256(covered), sha256) {
        return Err(FormatError::Digest);
    }
    let mut content = FormatReader(&covered[HEAD..]);
    let mut snapshot = Snapshot { sequence: content.number()?, carried: Carried::new() };
    for _ in 0..content.count()? {
        let name: Arc<str> = content.text()?.into();
        let mut leases = CarriedLeases { fingerprint: content.array()?, ..CarriedLeases::default() };
        for _ in 0..content.count()? {
            leases.rejected.push(content.array()?);
        }
        for _ in 0..content.count()? {
            leases.leases.push(content.lease()?);
        }
        // The names must be in the order that `encode` writes, so none occurs twice.
        if snapshot.carried.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(FormatError::Malformed);
        }
        snapshot.carried.insert(name, leases);
    }
    if content.0.is_empty() { Ok(snapshot) } else { Err(FormatError::Malformed) }
}

struct FormatWriter(SecretBuffer);

impl FormatWriter {
    fn snapshot(&mut self, snapshot: &Snapshot) {
        self.number(snapshot.sequence);
        self.count(snapshot.carried.len());
        for (name, carried) in &snapshot.carried {
            self.bytes(name.as_bytes());
            self.raw(&carried.fingerprint);
            self.count(carried.rejected.len());
            carried.rejected.iter().for_each(|sha256| self.raw(sha256));
            self.count(carried.leases.len());
            carried.leases.iter().for_each(|lease| self.lease(lease));
        }
    }

    fn lease(&mut self, lease: &Lease) {
        self.optional(lease.username.as_deref(), |out, username| out.bytes(username.as_bytes()));
        self.bytes(lease.secret.expose().as_bytes());
        self.optional(lease.deadline, |out, deadline| {
            out.instant(deadline.boot);
            out.instant(deadline.wall);
        });
        self.number(lease.generation);
        self.instant(lease.received.boot);
        self.instant(lease.received.wall);
        self.raw(&[match lease.source {
            SourceKind::Platform => 0,
            SourceKind::Env => 1,
            SourceKind::Persona => 2,
            SourceKind::File => 3,
            SourceKind::Command => 4,
        }]);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.raw(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn instant(&mut self, at: Duration) {
        self.number(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn number(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }
}

struct FormatReader<'b>(&'b [u8]);

impl<'b> FormatReader<'b> {
    fn lease(&mut self) -> Result<Lease, FormatError> {
        let username = self.optional(|r| Ok(Arc::from(r.text()?)))?;
        let secret = Secret::password(self.text()?).map_err(|_| FormatError::Malformed)?;
        let deadline = self.optional(|r| Ok(Deadline { boot: r.instant()?, wall: r.instant()? }))?;
        Ok(Lease {
            username,
            sha256: secret.sha256(),
            secret: Arc::new(secret),
            deadline,
            generation: self.number()?,
            received: Moment { boot: self.instant()?, wall: self.instant()? },
            source: match self.array()? {
                [0] => SourceKind::Platform,
                [1] => SourceKind::Env,
                [2] => SourceKind::Persona,
                [3] => SourceKind::File,
                [4] => SourceKind::Command,
                _ => return Err(FormatError::Malformed),
            },
        })
    }

    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FormatError>,
    ) -> Result<Option<T>, FormatError> {
        match self.array()? {
            [0] => Ok(None),
            [1] => read(self).map(Some),
            _ => Err(FormatError::Malformed),
        }
    }

    fn instant(&mut self) -> Result<Duration, FormatError> {
        self.number().map(Duration::from_nanos)
    }

    fn text(&mut self) -> Result<&'b str, FormatError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| FormatError::Malformed)
    }

    fn count(&mut self) -> Result<usize, FormatError> {
        usize::try_from(self.number()?).map_err(|_| FormatError::Malformed)
    }

    fn number(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.take(N)?.try_into().map_err(|_| FormatError::Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormatError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is cut short or isn't a lease memory"),
            Self::Version(version) => write!(f, "it has version {version}, and this program reads {VERSION}"),
            Self::Digest => f.write_str("its bytes have changed"),
        }
    }
}

impl std::error::Error for FormatError {}

impl From<FormatError> for std::io::Error {
    fn from(error: FormatError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

#[cfg(test)]
mod tests;
