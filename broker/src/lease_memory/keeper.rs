//! Keeps the lease memory current.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use molecule_protocol::digest;

use super::{Snapshot, format, sealed};
use crate::assemble::Carried;
use crate::clock;
use crate::server::Service;
use crate::service_manager::{LEASE, ServiceManager};
use crate::table::Table;

/// Told of everything that happens to a credential before anybody who waits
/// for it runs: what a client was given is kept already.
pub struct Keeper {
    manager: Arc<ServiceManager>,
    /// What of a table is worth keeping.
    carry: fn(&Table) -> Carried,
    service: OnceLock<Arc<Service>>,
    last: Mutex<Last>,
}

/// What the service manager was told.
struct Last {
    sequence: u64,
    /// Of the memories that it holds.
    names: Vec<String>,
    /// Of what is in the newest.
    content: [u8; 32],
    status: String,
}

impl Keeper {
    #[must_use]
    pub fn new(manager: Arc<ServiceManager>, sequence: u64, names: Vec<String>, carry: fn(&Table) -> Carried) -> Self {
        let last = Last { sequence, names, content: [0; 32], status: String::new() };
        Self { manager, carry, service: OnceLock::new(), last: Mutex::new(last) }
    }

    /// From now on there is something to keep.
    pub fn begin(&self, service: Arc<Service>) {
        let _ = self.service.set(service);
        self.look();
    }

    /// Keeps what has changed, if something has.
    pub fn look(&self) {
        let Some(service) = self.service.get().filter(|_| self.manager.listens()) else { return };
        let table = service.table();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.save(&mut last, &table);
        self.tell_status(&mut last, &table);
    }

    /// The new memory is there before the old ones go.
    fn save(&self, last: &mut Last, table: &Table) {
        let carried = (self.carry)(table);
        let content = digest::sha256(&format::encode(&Snapshot::of(0, &carried, 0)));
        if content == last.content {
            return;
        }
        let sequence = last.sequence + 1;
        let bytes = format::encode(&Snapshot::of(sequence, &carried, clock::boot_offset()));
        let name = format!("{}{sequence}", LEASE);
        let memory = match sealed::seal(&bytes) {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!("the leases can't be kept for the next daemon: {error}");
                return;
            }
        };
        if !self.manager.keep(&name, &memory) {
            tracing::warn!("the service manager took no leases; it is asked again after the next change");
            return;
        }
        for old in last.names.drain(..) {
            self.manager.forget(&old);
        }
        last.names.push(name);
        (last.sequence, last.content) = (sequence, content);
    }

    fn tell_status(&self, last: &mut Last, table: &Table) {
        let now = clock::now();
        let states = table.credentials.iter().map(|c| format!("{} {}", c.name, c.reader.held().state(now).name()));
        let status = states.collect::<Vec<_>>().join(", ");
        if status != last.status {
            self.manager.status(&status);
            last.status = status;
        }
    }
}
