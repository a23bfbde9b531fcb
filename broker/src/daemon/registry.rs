//! The credentials as the socket side knows them, with the users that may have them and the
//! origins that they are for. A reload replaces the registry as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nix::unistd::Uid;

use crate::credential::scope::{Index, Scopes};
use crate::daemon::store::LeaseReader;
use crate::system::peer::Admission;

pub struct CredentialRegistry {
    pub admission: Admission,
    pub scopes: Scopes,
    pub credentials: Vec<ServedCredential>,
    /// The configuration file and the names of its sinks, for `status`.
    pub config_file: Option<PathBuf>,
    pub sinks: Vec<&'static str>,
}

pub struct ServedCredential {
    pub name: Arc<str>,
    pub username: Arc<str>,
    /// True for a token, whose user name is a placeholder: a different user name in the
    /// request is overridden instead of being treated as another account.
    pub is_token: bool,
    /// The origins as configured. Empty if it serves all origins that no other credential
    /// claims.
    pub origins: Vec<String>,
    /// True if its origins are configured.
    pub scoped: bool,
    /// Users that may have it, besides root and the daemon's user. `None` means every
    /// admitted user.
    pub allow: Option<Vec<Uid>>,
    /// Its source, as `status` names it while no lease is held.
    pub source: &'static str,
    /// Text that says what to configure, if it has no source.
    pub missing: Option<Box<str>>,
    /// Fingerprint of its source, see [`crate::daemon::lease_memory::fingerprint`].
    pub fingerprint: [u8; 32],
    pub refreshable: bool,
    /// Minimum interval between two refreshes that an agent asked for.
    pub forced_min_gap: Duration,
    pub reader: LeaseReader,
    /// Number of times it was handed out.
    pub requests: Arc<AtomicU64>,
}

impl CredentialRegistry {
    #[must_use]
    pub fn get(&self, index: Index) -> Option<&ServedCredential> {
        self.credentials.get(index)
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ServedCredential> {
        self.credentials.iter().find(|c| &*c.name == name)
    }

    /// Returns true if an admitted user may have this credential.
    #[must_use]
    pub fn may_have(&self, credential: &ServedCredential, uid: Uid) -> bool {
        credential.allow.as_ref().is_none_or(|uids| uids.contains(&uid)) || self.admission.is_operator(uid)
    }
}
