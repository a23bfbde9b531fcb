//! The leases outlive the daemon in sealed memory that its service manager holds, and never in
//! a file.
//!
//! - [`CarriedLeases`]: the leases that one daemon passes to the next
//! - [`Snapshot`], [`mod@format`]: all leases at one instant, and their bytes; pure
//! - [`fingerprint`]: identifies the source that a lease came from
//! - [`sealed`]: memory that can't be changed any more
//! - [`LeaseSaver`]: passes a new memory to the service manager after each change

mod carried;
pub mod fingerprint;
pub mod format;
mod saver;
mod sealed;

use crate::daemon::service_manager::StoredFd;
use crate::system::clock;

pub use carried::{Carried, CarriedLeases, from_registry};
pub use format::{FormatError, Snapshot};
pub use saver::LeaseSaver;
pub use sealed::{is_sealed, seal};

/// State that the previous daemon left.
#[derive(Default)]
pub struct Inherited {
    pub carried: Carried,
    /// Sequence number of the newest memory. The next one gets a higher number.
    pub sequence: u64,
    /// Names of all stored memories. They are removed once a newer one is stored.
    pub names: Vec<String>,
}

impl Inherited {
    /// Reads the newest memory that verifies. A memory that doesn't verify is dropped as a
    /// whole.
    #[must_use]
    pub fn read(memories: Vec<StoredFd>) -> Self {
        let mut inherited = Self::default();
        for StoredFd { name, memory } in memories {
            let read = sealed::read(memory).and_then(|bytes| Ok(format::decode(&bytes)?));
            match read {
                Ok(snapshot) if snapshot.sequence >= inherited.sequence => {
                    inherited.sequence = snapshot.sequence;
                    inherited.carried = snapshot.to_carried(clock::boot_offset());
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(name, "a kept lease doesn't verify and is dropped: {error}"),
            }
            inherited.names.push(name);
        }
        inherited
    }
}
