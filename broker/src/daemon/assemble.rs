//! Builds the running parts from a configuration: for each credential a source, a machine with
//! the known leases, and the two halves of its lease channel.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::unistd::Uid;

use crate::config::{self, Config, CredentialScope, SourceConfig};
use crate::credential::lease::{Class, Failure, Fresh, Lease, SourceKind};
use crate::credential::secret::Secret;
use crate::daemon::driver::{Driver, Observer};
use crate::daemon::lease_memory::{Carried, CarriedLeases, fingerprint};
use crate::daemon::registry::{CredentialRegistry, ServedCredential};
use crate::daemon::store;
use crate::errands::RunnerClient;
use crate::refresh::{InitialState, Machine};
use crate::source::{CommandSource, Env, File, Platform, Source, persona};
use crate::system::clock;
use crate::system::peer::Admission;
use crate::system::time::{Deadline, Moment};

/// The configuration and registry that are in use when a reload begins.
#[derive(Clone, Copy)]
pub struct ActiveConfig<'r> {
    pub config: &'r Config,
    pub registry: &'r CredentialRegistry,
}

pub struct Assembled {
    pub registry: CredentialRegistry,
    /// One driver for each credential whose refresh doesn't run yet.
    pub drivers: Vec<Driver>,
}

impl<'r> ActiveConfig<'r> {
    /// Returns the running credential if its refresh can continue unchanged. Its origins and
    /// users may have changed: a fetch in flight, a back-off and a rejection don't depend on
    /// them.
    fn find_unchanged(self, wanted: &config::CredentialConfig) -> Option<&'r ServedCredential> {
        self.config.credential(&wanted.name).filter(|running| running.is_refreshed_like(wanted))?;
        self.registry.named(&wanted.name)
    }
}

/// Builds the registry and the drivers. Reuses the running refresh of each unchanged
/// credential in `active`; all others start from `carried`.
///
/// # Errors
/// Returns the failure of the first credential whose source can't be opened.
pub fn assemble(
    config: &Config,
    active: Option<ActiveConfig<'_>>,
    carried: &Carried,
    observer: &Observer,
    runner: Option<&RunnerClient>,
) -> Result<Assembled, Failure> {
    let now = clock::now();
    let mut registry = CredentialRegistry {
        admission: Admission { own: Some(Uid::effective()), listed: config.socket.allow.clone() },
        scopes: config.scopes(),
        credentials: Vec::new(),
        config_file: config.file.clone(),
        sinks: config.sinks.names(),
    };
    let mut drivers = Vec::new();
    for credential in &config.credentials {
        if let Some(same) = active.and_then(|active| active.find_unchanged(credential)) {
            let requests = Arc::clone(&same.requests);
            let reader = same.reader.clone();
            registry.credentials.push(registry_entry(credential, same.fingerprint, same.refreshable, reader, requests));
            continue;
        }
        let fingerprint = fingerprint::from_config(credential);
        let mut inherited = carried.get(&credential.name).cloned().unwrap_or_default();
        if inherited.fingerprint != fingerprint && !inherited.leases.is_empty() {
            tracing::info!(
                credential = &*credential.name,
                "its source has changed: the leases of the old one are dropped"
            );
            inherited.leases.clear();
        }
        let (source, start) = initial_state(credential, inherited, now, runner)?;
        let refreshable = start.refreshable;
        let (machine, first_action) = Machine::new(credential.policy.clone(), start, now, clock::jitter());
        let (writer, reader) = store::lease_channel(machine.held().clone());
        registry.credentials.push(registry_entry(credential, fingerprint, refreshable, reader, Arc::default()));
        let (name, observer) = (Arc::clone(&credential.name), Arc::clone(observer));
        drivers.push(Driver { name, machine, first_action, source, writer, observer });
    }
    Ok(Assembled { registry, drivers })
}

fn registry_entry(
    credential: &config::CredentialConfig,
    fingerprint: [u8; 32],
    refreshable: bool,
    reader: store::LeaseReader,
    requests: Arc<AtomicU64>,
) -> ServedCredential {
    let (origins, scoped) = match &credential.scope {
        CredentialScope::Any => (Vec::new(), false),
        CredentialScope::Patterns(patterns) => (patterns.iter().map(ToString::to_string).collect(), true),
    };
    ServedCredential {
        name: Arc::clone(&credential.name),
        username: Arc::clone(&credential.username),
        is_token: !credential.is_persona(),
        origins,
        scoped,
        allow: credential.allow.clone(),
        source: credential.source.kind(),
        missing: match &credential.source {
            SourceConfig::Missing(what) => Some(what.as_str().into()),
            _ => None,
        },
        fingerprint,
        refreshable,
        forced_min_gap: credential.policy.forced_min_gap,
        reader,
        requests,
    }
}

/// Opens the source, if it can be asked again, and collects the known state of the credential
/// at the start of its refresh.
fn initial_state(
    credential: &config::CredentialConfig,
    carried: CarriedLeases,
    now: Moment,
    runner: Option<&RunnerClient>,
) -> Result<(Option<Arc<Source>>, InitialState), Failure> {
    let mut start = InitialState { rejected: carried.rejected, ..InitialState::default() };
    let source = match &credential.source {
        SourceConfig::Platform(settings) => Some(Source::Platform(Box::new(Platform::new(settings.clone())?))),
        SourceConfig::File(path) => Some(Source::File(File::new(path.clone()))),
        SourceConfig::Command { argv, env } => {
            let command = CommandSource::new(argv.clone(), env.clone(), credential.policy.attempt_timeout);
            Some(Source::Command(match runner {
                Some(runner) => command.run_by(runner.clone(), Arc::clone(&credential.name)),
                None => command,
            }))
        }
        // A password never changes while the daemon runs.
        SourceConfig::Persona(password) | SourceConfig::Variable { password, .. } => {
            start.leases = vec![configured_lease(persona::credential(password.clone()), now)];
            None
        }
        SourceConfig::Env(_) | SourceConfig::Missing(_) => None,
        SourceConfig::Unusable { what, .. } => {
            start.failure = Some(Failure::new(Class::Config, what.clone()));
            None
        }
    };
    if source.is_some() {
        start.refreshable = true;
        start.leases = carried.leases;
    }
    let token = credential.source.provision_time_token();
    let token = token.or_else(|| credential.fallback.as_ref()?.provision_time_token());
    start.fallback = token.map(|token| provision_time_lease(&credential.name, token, now));
    Ok((source.map(Arc::new), start))
}

/// Returns the lease of the provision-time token. It has already expired if the token's age is
/// unknown or more than 60 min, and then the reason is logged.
fn provision_time_lease(name: &str, token: &Secret, now: Moment) -> Lease {
    let fresh = Env::new(token.clone()).fetch().unwrap_or_else(|failure| {
        tracing::info!(credential = name, "{}", failure.message);
        let expired = Deadline { boot: now.boot, wall: now.wall };
        Fresh { username: None, secret: token.clone(), deadline: Some(expired), source: SourceKind::Env }
    });
    configured_lease(fresh, now)
}

/// Returns a lease for a secret that is part of the configuration.
fn configured_lease(fresh: Fresh, now: Moment) -> Lease {
    Lease {
        username: fresh.username,
        sha256: fresh.secret.sha256(),
        secret: Arc::new(fresh.secret),
        deadline: fresh.deadline,
        generation: 1,
        received: now,
        source: fresh.source,
    }
}
