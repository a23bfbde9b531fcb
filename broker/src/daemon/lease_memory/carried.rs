//! The leases that one daemon passes to the next, and one configuration to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::credential::lease::Lease;
use crate::daemon::registry::{CredentialRegistry, ServedCredential};
use crate::refresh::Held;

/// Known leases of each credential by name, from before a reload or from the previous daemon.
pub type Carried = BTreeMap<Arc<str>, CarriedLeases>;

#[derive(Clone, Debug, Default)]
pub struct CarriedLeases {
    pub leases: Vec<Lease>,
    /// SHA-256 of secrets that a host rejected.
    pub rejected: Vec<[u8; 32]>,
    /// Fingerprint of the source that the leases came from. A credential with another
    /// source must not take them over.
    pub fingerprint: [u8; 32],
}

impl CarriedLeases {
    /// Takes the leases and rejections from `held`. A credential without a source that can be
    /// asked carries no leases, because its configuration contains them.
    #[must_use]
    pub fn from_held(held: &Held, fingerprint: [u8; 32]) -> Self {
        let leases = [&held.previous, &held.current].into_iter().flatten().filter(|_| held.refreshable);
        Self {
            leases: leases.map(|lease| Lease::clone(lease)).collect(),
            rejected: held.rejected.to_vec(),
            fingerprint,
        }
    }
}

/// Returns the leases that a reload passes on.
#[must_use]
pub fn from_registry(registry: &CredentialRegistry) -> Carried {
    let leases = |c: &ServedCredential| CarriedLeases::from_held(&c.reader.held(), c.fingerprint);
    registry.credentials.iter().map(|c| (Arc::clone(&c.name), leases(c))).collect()
}
