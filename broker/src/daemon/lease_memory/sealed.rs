//! Memory files that no process can change any more, not even the process that created them
//! (memfd_create(2); fcntl(2), "File Sealing").

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::format::MAX_BYTES;
use crate::system::secret_buffer::SecretBuffer;

/// `MFD_NOEXEC_SEAL` of Linux 6.3. A strict system requires it (`vm.memfd_noexec`).
const NEVER_EXECUTABLE: MFdFlags = MFdFlags::from_bits_retain(8);

const FIXED: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SHRINK);

/// Creates a sealed memory file with this content.
///
/// # Errors
/// Returns an error if no memory or no descriptor is left.
pub fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = match memfd_create("molecule-lease", flags | NEVER_EXECUTABLE) {
        Err(Errno::EINVAL) => memfd_create("molecule-lease", flags)?,
        created => created?,
    };
    let mut file = File::from(memory);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(FIXED | SealFlag::F_SEAL_SEAL))?;
    Ok(file.into())
}

/// Returns true if the memory has the seals that keep its content from changing while it is read.
#[must_use]
pub fn is_sealed(memory: impl AsFd) -> bool {
    fcntl(memory, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(FIXED))
}

/// Reads a memory file that the service manager stored, if it is sealed.
pub(super) fn read(mut memory: File) -> io::Result<SecretBuffer> {
    if !is_sealed(&memory) {
        return Err(io::Error::other("it is not sealed"));
    }
    memory.rewind()?;
    SecretBuffer::read(memory, MAX_BYTES + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_memory_can_be_read_and_never_written() {
        let memory = seal(b"lease").unwrap();
        assert!(is_sealed(&memory));
        let mut file = File::from(memory);
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
        assert_eq!(&*read(file).unwrap(), b"lease");
    }

    #[test]
    fn rule50_memory_without_seals_is_not_read() {
        let open = memfd_create("open", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(!is_sealed(&open));
        assert!(read(File::from(open)).is_err());
        assert!(!is_sealed(tempfile::tempfile().unwrap()), "a file isn't sealed either");
    }
}
