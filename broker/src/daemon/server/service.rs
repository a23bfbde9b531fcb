//! Carries out the verbs. A request is answered at once if possible. Otherwise it waits for the
//! store or for the composition root.

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
/// Sent when the deadline for an answer has passed.
const LATE: &str = "no answer from the credential's source in time; see: molecule-broker status";

pub struct Service {
    registry: RwLock<Arc<CredentialRegistry>>,
    pub audit: Audit,
    pub metrics: Arc<Metrics>,
    pub about: status::DaemonInfo,
    pub denials: DenialLog,
    pub rates: Rates,
    commands: mpsc::Sender<RootCommand>,
}

/// A request to the daemon's main loop.
pub enum RootCommand {
    /// Reload the configuration. The sender gets the outcome; its error is the text of all
    /// problems.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// Result of answering a request without waiting.
pub enum FirstAnswer {
    Done(Reply),
    /// The answer isn't ready yet: call [`Service::wait`].
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
            denials: DenialLog::default(),
            rates: Rates::default(),
            commands,
        }
    }

    /// Returns the current registry. A request keeps the registry that it started with, even if
    /// a reload replaces it meanwhile.
    #[must_use]
    pub fn registry(&self) -> Arc<CredentialRegistry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace_registry(&self, registry: CredentialRegistry) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }

    /// Answers the request if that needs no waiting.
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
        let reply = match find_target(registry, peer, request) {
            Ok(target) => self.answer_from(&target.credential.reader.held(), peer, request, &target),
            Err(reply) => Some(reply),
        };
        reply.map_or(FirstAnswer::Later, FirstAnswer::Done)
    }

    /// Answers from the held leases. Returns `None` if there is no live lease but one may come.
    fn answer_from(&self, held: &Held, peer: Peer, request: &Request<'_>, target: &AnswerTarget<'_>) -> Option<Reply> {
        let now = clock::now();
        match answer::ready(target, held, now) {
            Readiness::Wait => None,
            Readiness::Refused(reason) => Some(refuse_get(peer, request, target, &reason)),
            Readiness::Give(lease) => Some(Reply::with(self.hand_out(now, peer, request, target, lease))),
        }
    }

    /// Returns the answer with the credential. The audit line is written before the credential
    /// leaves.
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
        self.audit.record(&HandedOut { now, peer, client, command, origin, credential, lease });
        target.credential.requests.fetch_add(1, Ordering::Relaxed);
        answer::give(request, target, lease, now)
    }

    /// Answers a request that [`Service::answer_now`] couldn't answer, within the deadline.
    pub async fn wait(&self, registry: &Arc<CredentialRegistry>, peer: Peer, request: &Request<'_>) -> Reply {
        let reply = async {
            match request.verb {
                Verb::Refresh => refresh(registry, peer, request).await,
                Verb::Reload => self.reload(registry, peer).await,
                Verb::Get | Verb::Erase | Verb::Status => self.wait_for_lease(registry, peer, request).await,
            }
        };
        match tokio::time::timeout(ANSWER_DEADLINE, reply).await {
            Ok(reply) => reply,
            Err(_) => self.answer_late(&self.registry(), peer, request),
        }
    }

    /// Waits for a lease. If a reload ends the credential's refresh, waits for the refresh that
    /// replaced it.
    async fn wait_for_lease(&self, registry: &Arc<CredentialRegistry>, peer: Peer, request: &Request<'_>) -> Reply {
        let mut registry = Arc::clone(registry);
        loop {
            registry = match self.wait_with(&registry, peer, request).await {
                Ok(reply) => return reply,
                Err(target) => {
                    let next = self.registry();
                    if Arc::ptr_eq(&registry, &next) {
                        return refuse_get(peer, request, &target, ENDED);
                    }
                    next
                }
            };
        }
    }

    /// Waits for a lease of the credential that `registry` has for this request.
    ///
    /// # Errors
    /// Returns the target if its refresh side has ended.
    async fn wait_with<'t>(
        &self,
        registry: &'t CredentialRegistry,
        peer: Peer,
        request: &Request<'_>,
    ) -> Result<Reply, AnswerTarget<'t>> {
        let target = match find_target(registry, peer, request) {
            Ok(target) => target,
            Err(reply) => return Ok(reply),
        };
        let mut reader = target.credential.reader.clone();
        loop {
            let held = reader.held();
            if let Some(reply) = self.answer_from(&held, peer, request, &target) {
                return Ok(reply);
            }
            if !held.in_flight {
                reader.tell(RefreshAsk::Demand);
            }
            if reader.changed().await.is_err() {
                return Err(target);
            }
        }
    }

    /// Answers after the deadline: with the live lease if there is one, otherwise with a refusal.
    fn answer_late(&self, registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> Reply {
        if let (Verb::Get, Choice::Found(target)) = (request.verb, answer::choose(registry, request, peer.uid)) {
            let (held, now) = (target.credential.reader.held(), clock::now());
            if let Some(lease) = held.live(now) {
                return Reply::with(self.hand_out(now, peer, request, &target, lease));
            }
            return refuse_get(peer, request, &target, LATE);
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

/// Refuses a `get`. Granted requests are in the audit log; refused ones are logged only at debug
/// level.
fn refuse_get(peer: Peer, request: &Request<'_>, target: &AnswerTarget<'_>, reason: &str) -> Reply {
    let (uid, pid, client) = (peer.uid.as_raw(), peer.pid, request.client.name());
    tracing::debug!(uid, pid, client, origin = %target.origin, "refused: {reason}");
    Reply::refused(reason)
}

/// Finds the credential for a request. If there is none for this client, the error is the reply.
fn find_target<'t>(
    registry: &'t CredentialRegistry,
    peer: Peer,
    request: &Request<'_>,
) -> Result<AnswerTarget<'t>, Reply> {
    match answer::choose(registry, request, peer.uid) {
        Choice::Silent => Err(Reply::silent()),
        Choice::Forbidden(credential) => Err(refuse_user(credential, peer)),
        Choice::Found(target) => Ok(target),
    }
}

fn refuse_user(credential: &ServedCredential, peer: Peer) -> Reply {
    let reason = format!(
        "uid {} may not have the credential '{}'; see allow_users in its configuration",
        peer.uid, credential.name
    );
    Reply::refused(&reason)
}

/// Records that a host rejected a secret. The answer is always the same, so the client learns
/// nothing from it.
fn erase(registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> FirstAnswer {
    if let (Choice::Found(target), Some(sha256)) = (answer::choose(registry, request, peer.uid), request.sha256)
        // Ignores a hash that isn't held: it changes nothing, and would take a queue slot from
        // a real rejection.
        && target.credential.reader.held().holds(&sha256)
    {
        target.credential.reader.tell(RefreshAsk::Rejected { sha256 });
    }
    FirstAnswer::Done(Reply::ok())
}

/// Refreshes the named credential, or all refreshable ones that the user may have. Refuses if
/// any of the refreshes fails.
async fn refresh(registry: &CredentialRegistry, peer: Peer, request: &Request<'_>) -> Reply {
    let credentials: Vec<&ServedCredential> = match request.name {
        None => registry.credentials.iter().filter(|c| c.refreshable && registry.may_have(c, peer.uid)).collect(),
        Some(name) => match registry.named(name).filter(|c| registry.may_have(c, peer.uid)) {
            Some(credential) => vec![credential],
            None => {
                return Reply::refused(&format!(
                    "there is no credential '{}' that you may refresh",
                    crate::system::text::untrusted(name)
                ));
            }
        },
    };
    if credentials.is_empty() {
        return Reply::refused("no credential has a source that can be asked again");
    }
    let operator = registry.admission.is_operator(peer.uid);
    let mut outcomes = Vec::new();
    for credential in credentials {
        // Throttles here as well, so that a client that polls can't fill the queue.
        let throttled = credential.reader.held().throttled(clock::now().boot, credential.forced_min_gap);
        outcomes.push((
            credential,
            match throttled.filter(|_| !operator) {
                Some(outcome) => Ok(PendingOutcome::Throttled(outcome)),
                None => credential.reader.refresh(operator).await.map(PendingOutcome::Requested),
            },
        ));
    }
    let mut faults = String::new();
    for (credential, pending) in outcomes {
        let outcome = match pending {
            Ok(PendingOutcome::Throttled(outcome)) => Some(outcome),
            Ok(PendingOutcome::Requested(outcome)) => outcome.await.ok(),
            Err(Gone) => None,
        };
        if let Err(fault) = check_outcome(credential, outcome) {
            faults.push_str(&format!("{}: {fault}\n", credential.name));
        }
    }
    if faults.is_empty() { Reply::ok() } else { Reply::refused(&faults) }
}

/// The outcome of a requested refresh: known already, or still awaited.
enum PendingOutcome {
    Throttled(RefreshOutcome),
    Requested(oneshot::Receiver<RefreshOutcome>),
}

/// Returns an error text if the outcome means that the refresh failed.
fn check_outcome(credential: &ServedCredential, outcome: Option<RefreshOutcome>) -> Result<(), String> {
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
    held.last_error.as_deref().is_some_and(|error| error.failure.retry_after.is_some())
}

fn last_error(held: &Held) -> String {
    held.last_error.as_deref().map_or_else(String::new, |error| error.failure.to_string())
}
