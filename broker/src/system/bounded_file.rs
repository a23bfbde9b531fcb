//! Reads of small files that other users write. A pipe or a device in a file's place must not block
//! the daemon, and a huge file must not fill its memory.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use crate::system::secret_buffer::SecretBuffer;

/// Opens the regular file at `path`. Anything else is an error, so that the caller never waits for
/// a pipe or a device.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    open_with(path, OFlag::empty())
}

/// Opens the regular file at `path`, or returns `None` if `path` itself is a symbolic link.
pub(crate) fn open_no_link(path: &Path) -> io::Result<Option<File>> {
    match open_with(path, OFlag::O_NOFOLLOW) {
        // With `O_NOFOLLOW`, this error means that the path itself is a link (open(2)).
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => Ok(None),
        other => other.map(|(file, _)| Some(file)),
    }
}

fn open_with(path: &Path, flags: OFlag) -> io::Result<(File, Metadata)> {
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it isn't a regular file"));
    }
    Ok((file, metadata))
}

/// Reads the regular file at `path`. More than `limit` bytes are an error.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<(SecretBuffer, Metadata)> {
    let (file, metadata) = open(path)?;
    Ok((content(file, limit)?, metadata))
}

/// Reads an opened file. More than `limit` bytes are an error.
pub(crate) fn content(file: File, limit: usize) -> io::Result<SecretBuffer> {
    let content = SecretBuffer::read(file, limit + 1)?;
    if content.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(content)
}

/// Reads a text file of at most 1 MiB that a person wrote, such as git's own configuration.
pub(crate) fn text(path: &Path) -> io::Result<Zeroizing<String>> {
    const MAX_TEXT: usize = 1024 * 1024;
    let (content, _) = read(path, MAX_TEXT)?;
    std::str::from_utf8(&content).map(|text| Zeroizing::new(text.to_owned())).map_err(io::Error::other)
}
