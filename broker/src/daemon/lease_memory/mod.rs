//! What outlives the daemon: its leases, in sealed memory that its service
//! manager holds. Never a file.
//!
//! - [`CarriedLeases`]: what one daemon leaves to the next
//! - [`Snapshot`], [`mod@format`]: all of it at one moment, and its bytes; pure
//! - [`fingerprint`]: which configuration a lease belongs to
//! - [`sealed`]: bytes that nobody can change any more
//! - [`LeaseSaver`]: hands the service manager a new memory after every change

mod carried;
pub mod fingerprint;
pub mod format;
mod saver;
mod sealed;

use crate::daemon::service_manager::StoredFd;
use crate::system::clock;

pub use carried::{Carried, CarriedLeases, of_registry};
pub use format::{FormatError, Snapshot};
pub use saver::LeaseSaver;
pub use sealed::{is_sealed, seal};

/// What the daemon before this one left behind.
#[derive(Default)]
pub struct Inherited {
    pub carried: Carried,
    /// The number of the newest memory, so that the next is newer.
    pub sequence: u64,
    /// The names of all, to be forgotten once a newer one is kept.
    pub names: Vec<String>,
}

impl Inherited {
    /// The newest memory that verifies; any other isn't believed in part
    /// either.
    #[must_use]
    pub fn read(memories: Vec<StoredFd>) -> Self {
        let mut inherited = Self::default();
        for StoredFd { name, memory } in memories {
            let read = sealed::read(memory).and_then(|bytes| Ok(format::decode(&bytes)?));
            match read {
                Ok(snapshot) if snapshot.sequence >= inherited.sequence => {
                    inherited.sequence = snapshot.sequence;
                    inherited.carried = snapshot.here(clock::boot_offset());
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(name, "a kept lease doesn't verify and is dropped: {error}"),
            }
            inherited.names.push(name);
        }
        inherited
    }
}
