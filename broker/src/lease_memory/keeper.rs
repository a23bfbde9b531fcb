//! Keeps the lease memory current.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use molecule_protocol::digest;
use tokio::sync::Notify;

use super::{Inherited, Snapshot, format, sealed};
use crate::assemble::Carried;
use crate::clock;
use crate::server::Service;
use crate::service_manager::ServiceManager;
use crate::store::Reader;
use crate::table::Table;

pub struct Keeper {
    manager: Arc<ServiceManager>,
    carry: fn(&Table) -> Carried,
    sequence: u64,
    /// Those that the service manager holds.
    names: Vec<String>,
    /// Of what is in the newest.
    kept: [u8; 32],
    status: String,
}

impl Keeper {
    /// `carry` says what of a table is worth keeping.
    #[must_use]
    pub fn new(manager: Arc<ServiceManager>, inherited: Inherited, carry: fn(&Table) -> Carried) -> Self {
        let Inherited { sequence, names, .. } = inherited;
        Self { manager, carry, sequence, names, kept: [0; 32], status: String::new() }
    }

    /// Runs for ever. `reloaded` tells of a new table.
    pub async fn run(mut self, service: Arc<Service>, reloaded: Arc<Notify>) {
        if !self.manager.listens() {
            return std::future::pending().await;
        }
        loop {
            let table = service.table();
            let mut readers: Vec<Reader> = table.credentials.iter().map(|c| c.reader.clone()).collect();
            loop {
                self.tell_status(&table);
                self.save(&table);
                tokio::select! {
                    () = any_changed(&mut readers) => {}
                    () = reloaded.notified() => break,
                }
            }
        }
    }

    /// The new memory is there before the old ones go.
    fn save(&mut self, table: &Table) {
        let carried = (self.carry)(table);
        let content = digest::sha256(&format::encode(&Snapshot::of(0, &carried, 0)));
        if content == self.kept {
            return;
        }
        let sequence = self.sequence + 1;
        let bytes = format::encode(&Snapshot::of(sequence, &carried, clock::boot_offset()));
        let name = format!("{}{sequence}", crate::service_manager::LEASE);
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
        for old in self.names.drain(..) {
            self.manager.forget(&old);
        }
        self.names.push(name);
        (self.sequence, self.kept) = (sequence, content);
    }

    fn tell_status(&mut self, table: &Table) {
        let now = clock::now();
        let states = table.credentials.iter().map(|c| format!("{} {}", c.name, c.reader.held().state(now).name()));
        let status = states.collect::<Vec<_>>().join(", ");
        if status != self.status {
            self.manager.status(&status);
            self.status = status;
        }
    }
}

/// Returns when any of them has something new. One whose other half is gone
/// never has.
async fn any_changed(readers: &mut [Reader]) {
    type Change<'r> = Pin<Box<dyn Future<Output = Result<(), crate::store::Gone>> + Send + 'r>>;
    let mut changes: Vec<Option<Change<'_>>> = Vec::with_capacity(readers.len());
    changes.extend(readers.iter_mut().map(|reader| Some(Box::pin(reader.changed()) as Change<'_>)));
    poll_fn(|context| {
        for change in &mut changes {
            match change.as_mut().map(|change| change.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(()))) => return Poll::Ready(()),
                Some(Poll::Ready(Err(_))) => *change = None,
                Some(Poll::Pending) | None => {}
            }
        }
        Poll::Pending
    })
    .await;
}
