//! Reading a small file that others write: a pipe or a device in its place
//! must not hang the daemon, nor a huge one fill it.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use crate::system::secret_buffer::SecretBuffer;

/// Opens the regular file at `path`, and nothing that could make it wait.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    open_with(path, OFlag::empty())
}

/// The same if it is no link itself; `None` if it is one.
pub(crate) fn open_no_link(path: &Path) -> io::Result<Option<File>> {
    match open_with(path, OFlag::O_NOFOLLOW) {
        // open(2): so many links, if it follows none.
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => Ok(None),
        other => other.map(|(file, _)| Some(file)),
    }
}

fn open_with(path: &Path, flags: OFlag) -> io::Result<(File, Metadata)> {
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, metadata))
}

/// Reads at most `most` bytes of the regular file at `path`; more is an error.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<(SecretBuffer, Metadata)> {
    let (file, metadata) = open(path)?;
    Ok((content(file, most)?, metadata))
}

/// Reads at most `most` bytes of what was opened; more is an error.
pub(crate) fn content(file: File, most: usize) -> io::Result<SecretBuffer> {
    let content = SecretBuffer::read(file, most + 1)?;
    if content.len() > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(content)
}

/// A file that a person wrote, such as git's own configuration.
pub(crate) fn text(path: &Path) -> io::Result<Zeroizing<String>> {
    const MOST: usize = 1024 * 1024;
    let (content, _) = read(path, MOST)?;
    std::str::from_utf8(&content).map(|text| Zeroizing::new(text.to_owned())).map_err(io::Error::other)
}
