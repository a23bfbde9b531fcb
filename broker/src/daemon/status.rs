//! The health of the daemon and its credentials as data: the JSON that `status --json` prints.
//! Dashboards know its keys: keys may be added, but never renamed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use molecule_protocol::encoding;
use molecule_protocol::limits::PROTOCOL_VERSION;
use serde::{Deserialize, Serialize};

use crate::daemon::audit::may_log_hash;
use crate::daemon::registry::{self, CredentialRegistry};
use crate::system::time::{Boot, Moment};

/// Facts that never change while the daemon runs.
#[derive(Clone, Debug)]
pub struct DaemonInfo {
    pub started: Boot,
    /// Level of the sandbox that was reached.
    pub sandbox: String,
    /// Number of restarts before this daemon.
    pub restarts: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub protocol: u32,
    pub pid: u32,
    pub uptime_s: u64,
    #[serde(default)]
    pub restarts: u64,
    pub healthy: bool,
    pub sandbox: String,
    /// The file that the daemon reads its configuration from.
    #[serde(default)]
    pub config_file: Option<String>,
    /// Its sinks, as `MOLECULE_BROKER_SINKS` names them.
    #[serde(default)]
    pub sinks: Vec<String>,
    pub credentials: Vec<CredentialStatus>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialStatus {
    pub name: String,
    pub state: String,
    /// Source of the served lease, or the configured source.
    pub source: String,
    pub origins: Vec<String>,
    pub scoped: bool,
    /// True if it has a source that is asked repeatedly.
    #[serde(default)]
    pub refreshable: bool,
    /// True if it can be given out now.
    pub serving: bool,
    pub generation: u64,
    pub expires_in_s: Option<u64>,
    pub next_refresh_in_s: Option<u64>,
    pub last_success_ago_s: Option<u64>,
    pub last_error: Option<LastError>,
    pub consecutive_failures: u32,
    pub upstream_cached: bool,
    pub suspect: bool,
    pub token_sha256: Option<String>,
    pub requests: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastError {
    pub class: String,
    pub message: String,
    pub ago_s: u64,
}

/// Returns the status as one line of JSON.
#[must_use]
pub fn json(about: &DaemonInfo, registry: &CredentialRegistry, now: Moment) -> String {
    serde_json::to_string(&collect(about, registry, now)).unwrap_or_default()
}

#[must_use]
pub fn collect(about: &DaemonInfo, registry: &CredentialRegistry, now: Moment) -> Status {
    let credentials: Vec<_> = registry.credentials.iter().map(|c| credential_status(c, now)).collect();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL_VERSION,
        pid: std::process::id(),
        uptime_s: now.boot.saturating_sub(about.started).as_secs(),
        restarts: about.restarts,
        healthy: registry.credentials.iter().all(|c| c.reader.held().state(now).is_healthy()),
        sandbox: about.sandbox.clone(),
        config_file: registry.config_file.as_ref().map(|file| file.display().to_string()),
        sinks: registry.sinks.iter().map(ToString::to_string).collect(),
        credentials,
    }
}

fn credential_status(credential: &registry::ServedCredential, now: Moment) -> CredentialStatus {
    let held = credential.reader.held();
    let facts = held.facts(now);
    let seconds = |length: Duration| length.as_secs();
    let last_error = held.last_error.as_deref().map(|error| LastError {
        class: error.failure.class.name().into(),
        message: error.failure.message.clone(),
        ago_s: facts.last_error_ago.map_or(0, seconds),
    });
    let digest = held.live(now).filter(|lease| may_log_hash(lease)).map(|lease| encoding::base64_digest(&lease.sha256));
    CredentialStatus {
        name: credential.name.to_string(),
        state: facts.state.name().into(),
        source: facts.source.map_or(credential.source, |s| s.name()).into(),
        origins: credential.origins.clone(),
        scoped: credential.scoped,
        refreshable: credential.refreshable,
        serving: facts.serving,
        generation: facts.generation,
        expires_in_s: facts.expires_in.map(seconds),
        next_refresh_in_s: facts.next_refresh_in.map(seconds),
        last_success_ago_s: facts.last_success_ago.map(seconds),
        last_error,
        consecutive_failures: held.consecutive_failures,
        upstream_cached: held.upstream_cached,
        suspect: facts.suspect,
        token_sha256: digest.map(|d| String::from_utf8_lossy(&d).into_owned()),
        requests: credential.requests.load(Ordering::Relaxed),
    }
}
