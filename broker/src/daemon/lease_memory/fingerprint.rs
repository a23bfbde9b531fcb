//! Fingerprint of a lease's source. After a reconfiguration it tells that a token of another
//! workspace or platform doesn't belong to the credential.

use molecule_protocol::digest::sha256;

use crate::config::{CredentialConfig, SourceConfig};

/// Returns the fingerprint of the credential's source. It changes exactly when the credential would
/// be fetched from somewhere else. Origins, user names and intervals aren't part of it: they say
/// how a credential is used, not which one it is. A reload compares more
/// ([`CredentialConfig::is_refreshed_like`]).
#[must_use]
pub fn from_config(credential: &CredentialConfig) -> [u8; 32] {
    let mut text = Vec::new();
    let mut add = |part: &[u8]| {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part);
    };
    add(credential.source.kind().as_bytes());
    match &credential.source {
        SourceConfig::Platform(settings) => {
            add(settings.url.as_bytes());
            add(settings.workspace_id.as_bytes());
        }
        SourceConfig::File(path) => add(path.as_os_str().as_encoded_bytes()),
        SourceConfig::Command { argv, .. } => argv.iter().for_each(|argument| add(argument.as_bytes())),
        // Leases of these aren't carried: the configuration contains them.
        SourceConfig::Env(_)
        | SourceConfig::Persona(_)
        | SourceConfig::Variable { .. }
        | SourceConfig::Missing(_)
        | SourceConfig::Unusable { .. } => {}
    }
    sha256(&text)
}
