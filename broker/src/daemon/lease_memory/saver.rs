//! Saves the leases with the service manager after every change.

use std::sync::{Arc, Mutex, PoisonError};

use molecule_protocol::digest;

use super::{Carried, CarriedLeases, Snapshot, format, sealed};
use crate::daemon::registry::CredentialRegistry;
use crate::daemon::service_manager::{LEASE, ServiceManager};
use crate::refresh::Held;
use crate::system::clock;

/// Observer of every refresh. It runs before any client that waits for the
/// refresh, so what a client was given has been saved already.
pub struct LeaseSaver {
    manager: Arc<ServiceManager>,
    state: Mutex<SaverState>,
}

struct SaverState {
    /// In the registry's order.
    credentials: Vec<SaverEntry>,
    saved: Saved,
}

/// The part of one credential that is saved.
struct SaverEntry {
    name: Arc<str>,
    fingerprint: [u8; 32],
    held: Arc<Held>,
}

/// The last state that was sent to the service manager.
struct Saved {
    sequence: u64,
    /// The names of the memories that it holds.
    names: Vec<String>,
    /// SHA-256 of the newest memory's content, without its sequence number.
    content: [u8; 32],
    status: String,
}

impl LeaseSaver {
    /// `sequence` and `names` are those of the memories that this daemon
    /// inherited.
    #[must_use]
    pub fn new(manager: Arc<ServiceManager>, sequence: u64, names: Vec<String>) -> Self {
        let saved = Saved { sequence, names, content: [0; 32], status: String::new() };
        Self { manager, state: Mutex::new(SaverState { credentials: Vec::new(), saved }) }
    }

    /// Takes over the credentials of another configuration.
    pub fn replace(&self, registry: &CredentialRegistry) {
        self.update(|state| {
            state.credentials = registry
                .credentials
                .iter()
                .map(|c| SaverEntry { name: Arc::clone(&c.name), fingerprint: c.fingerprint, held: c.reader.held() })
                .collect();
        });
    }

    /// Takes over what is now held of one credential.
    pub fn observe(&self, credential: &str, held: &Held) {
        self.update(|state| {
            if let Some(entry) = state.credentials.iter_mut().find(|entry| *entry.name == *credential) {
                entry.held = Arc::new(held.clone());
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut SaverState)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.manager.listens() {
            let SaverState { credentials, saved } = &mut *state;
            self.save(saved, credentials);
            self.tell_status(saved, credentials);
        }
    }

    /// Stores the new memory before it removes the old ones.
    fn save(&self, saved: &mut Saved, credentials: &[SaverEntry]) {
        let carried: Carried =
            credentials.iter().map(|e| (Arc::clone(&e.name), CarriedLeases::of(&e.held, e.fingerprint))).collect();
        let content = digest::sha256(&format::encode(&Snapshot::of(0, &carried, 0)));
        if content == saved.content {
            return;
        }
        let sequence = saved.sequence + 1;
        let bytes = format::encode(&Snapshot::of(sequence, &carried, clock::boot_offset()));
        let name = format!("{}{sequence}", LEASE);
        let memory = match sealed::seal(&bytes) {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!("the leases can't be kept for the next daemon: {error}");
                return;
            }
        };
        if !self.manager.store_fd(&name, &memory) {
            tracing::warn!("the service manager took no leases; it is asked again after the next change");
            return;
        }
        for old in saved.names.drain(..) {
            self.manager.forget(&old);
        }
        saved.names.push(name);
        (saved.sequence, saved.content) = (sequence, content);
    }

    fn tell_status(&self, saved: &mut Saved, credentials: &[SaverEntry]) {
        let now = clock::now();
        let states = credentials.iter().map(|entry| format!("{} {}", entry.name, entry.held.state(now).name()));
        let status = states.collect::<Vec<_>>().join(", ");
        if status != saved.status {
            self.manager.status(&status);
            saved.status = status;
        }
    }
}
