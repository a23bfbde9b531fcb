//! Which source a lease came from, in a form that can be compared: after a
//! reconfiguration, a token of another workspace or platform isn't this one's.

use molecule_protocol::digest::sha256;

use crate::config::{CredentialConfig, SourceConfig};

/// Changes exactly when the credential would be asked for somewhere else.
/// Origins, user names and numbers don't count: they say what is done with a
/// credential, not which it is, as for a reload
/// ([`CredentialConfig::is_refreshed_like`]).
#[must_use]
pub fn of(credential: &CredentialConfig) -> [u8; 32] {
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
        // Nothing of these is kept: the configuration has them whole.
        SourceConfig::Env(_)
        | SourceConfig::Persona(_)
        | SourceConfig::Variable { .. }
        | SourceConfig::Missing(_)
        | SourceConfig::Unusable { .. } => {}
    }
    sha256(&text)
}
