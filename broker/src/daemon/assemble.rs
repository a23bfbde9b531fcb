//! From a configuration to the parts that run: for every credential a source,
//! a machine with what is already known of it, and the two halves of its place
//! in the store.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::unistd::Uid;

use crate::config::{self, Config, Scope, SourceConfig};
use crate::credential::lease::{Class, Failure, Fresh, Lease, Provenance};
use crate::daemon::driver::{Driver, Observer};
use crate::daemon::lease_memory::{Carried, CarriedLeases, fingerprint};
use crate::daemon::registry::{Credential, Table};
use crate::daemon::store;
use crate::errands::Errands;
use crate::refresh::{Machine, Start};
use crate::source::{Command, Env, File, Persona, Platform, Source};
use crate::system::clock;
use crate::system::peer::Admission;
use crate::system::time::{Deadline, Moment};

/// What a reload finds at work.
#[derive(Clone, Copy)]
pub struct AtWork<'r> {
    pub config: &'r Config,
    pub table: &'r Table,
}

pub struct Assembled {
    pub table: Table,
    /// Of those credentials whose refresh isn't at work already.
    pub drivers: Vec<Driver>,
}

impl<'r> AtWork<'r> {
    /// A credential whose refresh can go on as it is: its origins and users may
    /// be others now, and a fetch under way, a back-off and a rejection concern
    /// neither.
    fn unchanged(self, wanted: &config::Credential) -> Option<&'r Credential> {
        self.config.credential(&wanted.name).filter(|was| was.is_refreshed_like(wanted))?;
        self.table.named(&wanted.name)
    }
}

/// What is `at_work` goes on where it can; what is `carried` is where the rest
/// begins.
///
/// # Errors
/// The first credential whose source can't be made, and why.
pub fn assemble(
    config: &Config,
    at_work: Option<AtWork<'_>>,
    carried: &Carried,
    observer: &Observer,
    errands: Option<&Errands>,
) -> Result<Assembled, Failure> {
    let now = clock::now();
    let mut table = Table {
        admission: Admission { own: Some(Uid::effective()), listed: config.socket.allow.clone() },
        scopes: config.scopes(),
        credentials: Vec::new(),
        config_file: config.file.clone(),
        sinks: config.sinks.names(),
    };
    let mut drivers = Vec::new();
    for credential in &config.credentials {
        if let Some(same) = at_work.and_then(|at_work| at_work.unchanged(credential)) {
            let requests = Arc::clone(&same.requests);
            let reader = same.reader.clone();
            table.credentials.push(entry(credential, same.fingerprint, same.refreshable, reader, requests));
            continue;
        }
        let fingerprint = fingerprint::of(credential);
        let mut inherited = carried.get(&credential.name).cloned().unwrap_or_default();
        if inherited.fingerprint != fingerprint && !inherited.leases.is_empty() {
            tracing::info!(credential = &*credential.name, "its source is another one now: what it gave is dropped");
            inherited.leases.clear();
        }
        let (source, start) = begin(credential, inherited, now, errands)?;
        let refreshable = start.refreshable;
        let (machine, first) = Machine::new(credential.policy.clone(), start, now, clock::jitter());
        let (writer, reader) = store::cell(machine.held().clone());
        table.credentials.push(entry(credential, fingerprint, refreshable, reader, Arc::default()));
        let (name, observer) = (Arc::clone(&credential.name), Arc::clone(observer));
        drivers.push(Driver { name, machine, first, source, writer, observer });
    }
    Ok(Assembled { table, drivers })
}

fn entry(
    credential: &config::Credential,
    fingerprint: [u8; 32],
    refreshable: bool,
    reader: store::Reader,
    requests: Arc<AtomicU64>,
) -> Credential {
    let (origins, scoped) = match &credential.scope {
        Scope::Any => (Vec::new(), false),
        Scope::Patterns(patterns) => (patterns.iter().map(ToString::to_string).collect(), true),
    };
    Credential {
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

/// The source that will be asked, and what the machine starts from.
fn begin(
    credential: &config::Credential,
    carried: CarriedLeases,
    now: Moment,
    errands: Option<&Errands>,
) -> Result<(Option<Arc<Source>>, Start), Failure> {
    let mut start = Start { leases: carried.leases, rejected: carried.rejected, ..Start::default() };
    let source = match &credential.source {
        // Both never change while the daemon runs: what was carried is ignored.
        SourceConfig::Persona(password) | SourceConfig::Variable { password, .. } => {
            start.leases = vec![lease(Persona::new(None, password.clone()).fetch(), now)];
            None
        }
        SourceConfig::Env(_) | SourceConfig::Missing(_) => {
            start.leases.clear();
            None
        }
        SourceConfig::Unusable { what, .. } => {
            start.leases.clear();
            start.failure = Some(Failure::new(Class::Config, what.clone()));
            None
        }
        refreshable => {
            start.refreshable = true;
            Some(Arc::new(make(refreshable, credential, errands)?))
        }
    };
    let frozen = [&credential.source].into_iter().chain(&credential.fallback).find_map(|source| match source {
        SourceConfig::Env(token) => Some(token),
        _ => None,
    });
    start.fallback = frozen.map(|token| match Env::new(token.clone()).fetch() {
        Ok(fresh) => lease(fresh, now),
        Err(failure) => {
            tracing::info!(credential = &*credential.name, "{}", failure.message);
            let dead = Some(Deadline { boot: now.boot, wall: now.wall });
            lease(Fresh { username: None, secret: token.clone(), deadline: dead, origin: Provenance::Env }, now)
        }
    });
    Ok((source, start))
}

fn make(source: &SourceConfig, credential: &config::Credential, errands: Option<&Errands>) -> Result<Source, Failure> {
    Ok(match source {
        SourceConfig::Platform(settings) => Source::Platform(Box::new(Platform::new(settings.clone())?)),
        SourceConfig::File(path) => Source::File(File::new(path.clone())),
        SourceConfig::Command { argv, env } => {
            let command = Command::new(argv.clone(), env.clone(), credential.policy.attempt_timeout);
            Source::Command(match errands {
                Some(errands) => command.by(errands.clone(), Arc::clone(&credential.name)),
                None => command,
            })
        }
        SourceConfig::Persona(password) | SourceConfig::Variable { password, .. } => {
            Source::Persona(Persona::new(None, password.clone()))
        }
        SourceConfig::Env(token) => Source::Env(Env::new(token.clone())),
        SourceConfig::Missing(what) | SourceConfig::Unusable { what, .. } => {
            return Err(Failure::new(Class::Config, what.clone()));
        }
    })
}

/// A lease that comes from the configuration itself.
fn lease(fresh: Fresh, now: Moment) -> Lease {
    Lease {
        username: fresh.username,
        sha256: fresh.secret.sha256(),
        secret: Arc::new(fresh.secret),
        deadline: fresh.deadline,
        generation: 1,
        received: now,
        origin: fresh.origin,
    }
}
