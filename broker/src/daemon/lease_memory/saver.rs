//! Saves the leases with the service manager after every change.

use std::sync::{Arc, Mutex, PoisonError};

use molecule_protocol::digest;

use super::{Carried, CarriedLeases, Snapshot, format, sealed};
use crate::daemon::registry::CredentialRegistry;
use crate::daemon::service_manager::{LEASE, ServiceManager};
use crate::refresh::Held;
use crate::system::clock;

/// Observer of every refresh. It runs before the clients that wait for the refresh, so a lease is
/// saved before a client gets it.
pub struct LeaseSaver {
    manager: Arc<ServiceManager>,
    state: Mutex<SaverState>,
}

struct SaverState {
    /// The credentials, in the registry's order.
    credentials: Vec<SaverEntry>,
    saved: Saved,
}

/// The saved state of one credential.
struct SaverEntry {
    name: Arc<str>,
    fingerprint: [u8; 32],
    held: Arc<Held>,
}

/// The last state that was sent to the service manager.
struct Saved {
    sequence: u64,
    /// Names of the memories that it holds.
    names: Vec<String>,
    /// SHA-256 of the newest memory's content, without its sequence number.
    content: [u8; 32],
    status: String,
}

impl LeaseSaver {
    /// Creates a saver that continues after the inherited memories, which have these `names`. The
    /// newest has this `sequence` number.
    #[must_use]
    pub fn new(manager: Arc<ServiceManager>, sequence: u64, names: Vec<String>) -> Self {
        let saved = Saved { sequence, names, content: [0; 32], status: String::new() };
        Self { manager, state: Mutex::new(SaverState { credentials: Vec::new(), saved }) }
    }

    /// Replaces all credentials with those of a new registry, and saves them.
    pub fn replace(&self, registry: &CredentialRegistry) {
        self.update(|state| {
            state.credentials = registry
                .credentials
                .iter()
                .map(|c| SaverEntry { name: Arc::clone(&c.name), fingerprint: c.fingerprint, held: c.reader.held() })
                .collect();
        });
    }

    /// Replaces the held leases of one credential, and saves them.
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
            self.send_status(saved, credentials);
        }
    }

    /// Saves the leases if they have changed. The new memory is stored before the old ones are
    /// removed.
    fn save(&self, saved: &mut Saved, credentials: &[SaverEntry]) {
        let leases = |entry: &SaverEntry| CarriedLeases::from_held(&entry.held, entry.fingerprint);
        let carried: Carried = credentials.iter().map(|entry| (Arc::clone(&entry.name), leases(entry))).collect();
        let content = digest::sha256(&format::encode(&Snapshot::new(0, &carried, 0)));
        if content == saved.content {
            return;
        }
        let sequence = saved.sequence + 1;
        let bytes = format::encode(&Snapshot::new(sequence, &carried, clock::boot_offset()));
        let name = format!("{}{sequence}", LEASE);
        let memory = match sealed::seal(&bytes) {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!("the leases can't be kept for the next daemon: {error}");
                return;
            }
        };
        if !self.manager.store_fd(&name, &memory) {
            tracing::warn!("the service manager didn't accept the leases; they are sent again after the next change");
            return;
        }
        for old in saved.names.drain(..) {
            self.manager.remove_fd(&old);
        }
        saved.names.push(name);
        (saved.sequence, saved.content) = (sequence, content);
    }

    fn send_status(&self, saved: &mut Saved, credentials: &[SaverEntry]) {
        let now = clock::now();
        let states = credentials.iter().map(|entry| format!("{} {}", entry.name, entry.held.state(now).name()));
        let status = states.collect::<Vec<_>>().join(", ");
        if status != saved.status {
            self.manager.status(&status);
            saved.status = status;
        }
    }
}
