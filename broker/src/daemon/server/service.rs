//! The verbs. What can be known at once is answered at once; the rest is a
//! wait on the store or on the composition root.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use molecule_protocol::limits::ANSWER_DEADLINE;
use molecule_protocol::request::{Request, Verb};
use tokio::sync::{mpsc, oneshot};

use super::rates::Rates;
use super::refusals::DenialLog;
use super::reply::Reply;
use crate::credential::lease::Lease;
use crate::daemon::answer::{self, AnswerTarget, Bytes, Choice, Readiness};
use crate::daemon::audit::{Audit, HandedOut};
use crate::daemon::metrics::Metrics;
use crate::daemon::registry::{CredentialRegistry, ServedCredential};
use crate::daemon::status;
use crate::daemon::store::{Gone, RefreshAsk};
use crate::refresh::{Held, RefreshOutcome};
use crate::system::clock;
use crate::system::peer::Peer;
use crate::system::time::Moment;

/// Sent when the refresh task ends while a client waits for it.
const ENDED: &str = "the broker is stopping or was just reconfigured; try again";
const LATE: &str = "no answer from the credential's source in time; see: molecule-broker status";

pub struct Service {
    registry: RwLock<Arc<CredentialRegistry>>,
    pub audit: Audit,
    pub metrics: Arc<Metrics>,
    pub about: status::DaemonInfo,
    pub refusals: DenialLog,
    pub rates: Rates,
    commands: mpsc::Sender<RootCommand>,
}

/// A request to the daemon's main loop.
pub enum RootCommand {
    /// Read the configuration again, and say what is wrong with it.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// Result of answering a request without waiting.
pub enum FirstAnswer {
    Done(Reply),
    /// Nothing live yet: [`Service::wait`].
    Later,
}

impl Service {
    #[must_use]
    pub fn new(
        registry: CredentialRegistry,
        audit: Audit,
        metrics: Arc<Metrics>,
        about: status::DaemonInfo,
        commands: mpsc::Sender<RootCommand>,
    ) -> Self {
        Self {
            registry: RwLock::new(Arc::new(registry)),
            audit,
            metrics,
            about,
            refusals: DenialLog::default(),
            rates: Rates::default(),
            commands,
        }
    }

    /// Returns the current registry. A request keeps the one that it began with, whatever
    /// is reloaded meanwhile.
    #[must_use]
    pub fn registry(&self) -> Arc<CredentialRegistry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace_registry(&self, registry: CredentialRegistry) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }

    /// Answers what needs no waiting.
    pub fn answer_now(&self, registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> FirstAnswer {
        match request.verb {
            Verb::Get => self.get(registry, peer, request),
            Verb::Erase => erase(registry, peer, request),
            Verb::Status => {
                let document = answer::document(&status::json(&self.about, registry, clock::now()));
                FirstAnswer::Done(Reply::with(document))
            }
            Verb::Refresh | Verb::Reload => FirstAnswer::Later,
        }
    }

    fn get(&self, registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> FirstAnswer {
        let offered = match find_target(registry, peer, request) {
            Ok(target) => self.offer(peer, request, &target, &target.credential.reader.held()),
            Err(done) => Some(done),
        };
        offered.map_or(FirstAnswer::Later, FirstAnswer::Done)
    }

    /// An answer from what is held, unless waiting may bring a better one.
    fn offer(&self, peer: Peer, request: &Request<'_>, target: &AnswerTarget<'_>, held: &Held) -> Option<Reply> {
        let now = clock::now();
        match answer::ready(target, held, now) {
            Readiness::Wait => None,
            Readiness::Refused(reason) => Some(refused_get(peer, request, target, &reason)),
            Readiness::Give(lease) => Some(Reply::with(self.hand_out(now, peer, request, target, lease))),
        }
    }

    /// The audit line is written before the credential leaves.
    fn hand_out(
        &self,
        now: Moment,
        peer: Peer,
        request: &Request<'_>,
        target: &AnswerTarget<'_>,
        lease: &Lease,
    ) -> Bytes {
        let (client, command) = (request.client, request.command);
        let (origin, credential) = (&target.origin, &target.credential.name);
        self.audit.handed_out(&HandedOut { now, peer, client, command, origin, credential, lease });
        target.credential.requests.fetch_add(1, Ordering::Relaxed);
        answer::give(request, target, lease, now)
    }

    /// Answers what [`Service::answer_now`] could not, within the deadline.
    pub async fn wait(&self, registry: &Arc<CredentialRegistry>, peer: Peer, request: &Request<'_>) -> Reply {
        let patient = async {
            match request.verb {
                Verb::Refresh => refresh(registry, peer, request).await,
                Verb::Reload => self.reload(registry, peer).await,
                Verb::Get | Verb::Erase | Verb::Status => self.wait_for_lease(registry, peer, request).await,
            }
        };
        match tokio::time::timeout(ANSWER_DEADLINE, patient).await {
            Ok(done) => done,
            Err(_) => self.last_resort(&self.registry(), peer, request),
        }
    }

    /// A reload may take the refresh away that is waited for: then the one that
    /// came in its place is.
    async fn wait_for_lease(&self, registry: &Arc<CredentialRegistry>, peer: Peer, request: &Request<'_>) -> Reply {
        let mut registry = Arc::clone(registry);
        loop {
            registry = match self.wait_by(&registry, peer, request).await {
                Ok(done) => return done,
                Err(target) => {
                    let next = self.registry();
                    if Arc::ptr_eq(&registry, &next) {
                        return refused_get(peer, request, &target, ENDED);
                    }
                    next
                }
            };
        }
    }

    /// # Errors
    /// What is asked for, once its refresh side has gone.
    async fn wait_by<'t>(
        &self,
        registry: &'t CredentialRegistry,
        peer: Peer,
        request: &Request<'_>,
    ) -> Result<Reply, AnswerTarget<'t>> {
        let target = match find_target(registry, peer, request) {
            Ok(target) => target,
            Err(done) => return Ok(done),
        };
        let mut reader = target.credential.reader.clone();
        loop {
            let held = reader.held();
            if let Some(done) = self.offer(peer, request, &target, &held) {
                return Ok(done);
            }
            if !held.in_flight {
                reader.tell(RefreshAsk::Demand);
            }
            if reader.changed().await.is_err() {
                return Err(target);
            }
        }
    }

    /// Time is up: what is live is better than nothing.
    fn last_resort(&self, registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> Reply {
        if let (Verb::Get, Choice::Of(target)) = (request.verb, answer::choose(registry, request, peer.uid)) {
            let (held, now) = (target.credential.reader.held(), clock::now());
            if let Some(lease) = held.live(now) {
                return Reply::with(self.hand_out(now, peer, request, &target, lease));
            }
            return refused_get(peer, request, &target, LATE);
        }
        Reply::refused(LATE)
    }

    async fn reload(&self, registry: &CredentialRegistry, peer: Peer) -> Reply {
        if !registry.admission.is_operator(peer.uid) {
            return Reply::refused("only root and the daemon's own user may reload it");
        }
        let (answer, done) = oneshot::channel();
        let sent = self.commands.send(RootCommand::Reload(answer)).await;
        match (sent, done.await) {
            (Ok(()), Ok(Ok(()))) => Reply::ok(),
            (Ok(()), Ok(Err(faults))) => Reply::refused(&faults),
            _ => Reply::refused("the daemon is stopping"),
        }
    }
}

/// Granted requests are in the audit log; refused ones are logged at debug level only.
fn refused_get(peer: Peer, request: &Request<'_>, target: &AnswerTarget<'_>, reason: &str) -> Reply {
    let (uid, pid, client) = (peer.uid.as_raw(), peer.pid, request.client.name());
    tracing::debug!(uid, pid, client, origin = %target.origin, "refused: {reason}");
    Reply::refused(reason)
}

/// Finds the credential that is asked for, or returns the reply if there is none for this
/// client.
fn find_target<'t>(
    registry: &'t CredentialRegistry,
    peer: Peer,
    request: &Request<'_>,
) -> Result<AnswerTarget<'t>, Reply> {
    match answer::choose(registry, request, peer.uid) {
        Choice::Silent => Err(Reply::silent()),
        Choice::Forbidden(credential) => Err(forbidden(credential, peer)),
        Choice::Of(target) => Ok(target),
    }
}

fn forbidden(credential: &ServedCredential, peer: Peer) -> Reply {
    let reason = format!(
        "uid {} may not have the credential '{}'; see allow_users in its configuration",
        peer.uid, credential.name
    );
    Reply::refused(&reason)
}

/// Whatever it is about, the client learns nothing from the answer.
fn erase(registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> FirstAnswer {
    if let (Choice::Of(target), Some(sha256)) = (answer::choose(registry, request, peer.uid), request.sha256)
        // Ignore hashes that we don't hold: they change nothing, and would take queue
        // slots from real rejections.
        && target.credential.reader.held().holds(&sha256)
    {
        target.credential.reader.tell(RefreshAsk::Rejected { sha256 });
    }
    FirstAnswer::Done(Reply::ok())
}

/// Refreshes the one named, or all that can be; fails if any fails.
async fn refresh(registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> Reply {
    let wanted: Vec<&ServedCredential> = match request.name {
        None => registry.credentials.iter().filter(|c| c.refreshable && registry.may_have(c, peer.uid)).collect(),
        Some(name) => match registry.named(name).filter(|c| registry.may_have(c, peer.uid)) {
            Some(credential) => vec![credential],
            None => {
                return Reply::refused(&format!(
                    "there is no credential '{}' for you to refresh",
                    crate::system::text::untrusted(name)
                ));
            }
        },
    };
    if wanted.is_empty() {
        return Reply::refused("no credential has a source that can be asked again");
    }
    let operator = registry.admission.is_operator(peer.uid);
    let mut outcomes = Vec::new();
    for credential in wanted {
        // Throttle here as well, so that a client that polls can't fill the queue.
        let throttled = credential.reader.held().throttled(clock::now().boot, credential.forced_min_gap);
        outcomes.push((
            credential,
            match throttled.filter(|_| !operator) {
                Some(outcome) => Ok(Known::Already(outcome)),
                None => credential.reader.refresh(operator).await.map(Known::Later),
            },
        ));
    }
    let mut faults = String::new();
    for (credential, known) in outcomes {
        let outcome = match known {
            Ok(Known::Already(outcome)) => Some(outcome),
            Ok(Known::Later(outcome)) => outcome.await.ok(),
            Err(Gone) => None,
        };
        if let Err(fault) = judge(credential, outcome) {
            faults.push_str(&format!("{}: {fault}\n", credential.name));
        }
    }
    if faults.is_empty() { Reply::ok() } else { Reply::refused(&faults) }
}

enum Known {
    Already(RefreshOutcome),
    Later(oneshot::Receiver<RefreshOutcome>),
}

fn judge(credential: &ServedCredential, outcome: Option<RefreshOutcome>) -> Result<(), String> {
    let held = credential.reader.held();
    match outcome {
        Some(
            RefreshOutcome::Refreshed { .. }
            | RefreshOutcome::SameToken
            | RefreshOutcome::ExpiresSooner
            | RefreshOutcome::Idle,
        ) => Ok(()),
        Some(RefreshOutcome::NoSource) => Err("its source can't be asked again".into()),
        Some(RefreshOutcome::BackingOff) if source_sent_retry_after(&held) => {
            Err(format!("its source asked to be left alone for now: {}", last_error(&held)))
        }
        Some(_) => Err(last_error(&held)),
        None => Err(ENDED.into()),
    }
}

fn source_sent_retry_after(held: &Held) -> bool {
    held.last_error.as_deref().is_some_and(|trouble| trouble.failure.retry_after.is_some())
}

fn last_error(held: &Held) -> String {
    held.last_error.as_deref().map_or_else(String::new, |trouble| trouble.failure.to_string())
}
