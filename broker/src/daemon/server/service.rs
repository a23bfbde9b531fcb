//! The verbs. What can be known at once is answered at once; the rest is a
//! wait on the store or on the composition root.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use molecule_protocol::answer::Word;
use molecule_protocol::limits::ANSWER_DEADLINE;
use molecule_protocol::request::{Request, Verb};
use tokio::sync::{mpsc, oneshot};

use super::rates::Rates;
use super::refusals::Refusals;
use crate::credential::lease::Lease;
use crate::daemon::answer::{self, Bytes, Choice, Ready, Target};
use crate::daemon::audit::{Audit, HandedOut};
use crate::daemon::metrics::{Metrics, Served};
use crate::daemon::registry::{Credential, Table};
use crate::daemon::status;
use crate::daemon::store::{Ask, Gone};
use crate::refresh::{Held, Outcome};
use crate::system::clock;
use crate::system::peer::Peer;
use crate::system::time::Moment;

/// Of a refresh that ended while somebody waited for it.
const ENDED: &str = "the broker is stopping or was just reconfigured; try again";
const LATE: &str = "no answer from the credential's source in time; see: molecule-broker status";

pub struct Service {
    table: RwLock<Arc<Table>>,
    pub audit: Audit,
    pub metrics: Arc<Metrics>,
    pub about: status::About,
    pub refusals: Refusals,
    pub rates: Rates,
    commands: mpsc::Sender<Command>,
}

/// What a request asks of the composition root.
pub enum Command {
    /// Read the configuration again, and say what is wrong with it.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// What became of a request at first sight.
pub enum First {
    Done(Bytes, Served),
    /// Nothing live yet: [`Service::wait`].
    Later,
}

impl Service {
    #[must_use]
    pub fn new(
        table: Table,
        audit: Audit,
        metrics: Arc<Metrics>,
        about: status::About,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self {
            table: RwLock::new(Arc::new(table)),
            audit,
            metrics,
            about,
            refusals: Refusals::default(),
            rates: Rates::default(),
            commands,
        }
    }

    /// What a request sees, whatever is reloaded meanwhile.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace_table(&self, table: Table) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// Answers what needs no waiting.
    pub fn first(&self, table: &Table, peer: Peer, request: &Request<'_>) -> First {
        match request.verb {
            Verb::Get => self.get(table, peer, request),
            Verb::Erase => erase(table, peer, request),
            Verb::Status => First::Done(answer::document(&status::json(&self.about, table, clock::now())), Served::Ok),
            Verb::Refresh | Verb::Reload => First::Later,
        }
    }

    fn get(&self, table: &Table, peer: Peer, request: &Request<'_>) -> First {
        let offered = match wanted(table, peer, request) {
            Ok(target) => self.offer(peer, request, &target, &target.credential.reader.held()),
            Err(done) => Some(done),
        };
        offered.map_or(First::Later, |(bytes, served)| First::Done(bytes, served))
    }

    /// An answer from what is held, unless waiting may bring a better one.
    fn offer(&self, peer: Peer, request: &Request<'_>, target: &Target<'_>, held: &Held) -> Option<(Bytes, Served)> {
        let now = clock::now();
        match answer::ready(target, held, now) {
            Ready::Wait => None,
            Ready::Refused(reason) => Some(refused_get(peer, request, target, &reason)),
            Ready::Give(lease) => Some((self.hand_out(now, peer, request, target, lease), Served::Ok)),
        }
    }

    /// The audit line is written before the credential leaves.
    fn hand_out(&self, now: Moment, peer: Peer, request: &Request<'_>, target: &Target<'_>, lease: &Lease) -> Bytes {
        let (client, command) = (request.client, request.command);
        let (origin, credential) = (&target.origin, &target.credential.name);
        self.audit.handed_out(&HandedOut { now, peer, client, command, origin, credential, lease });
        target.credential.requests.fetch_add(1, Ordering::Relaxed);
        answer::give(request, target, lease, now)
    }

    /// Answers what [`Service::first`] could not, within the deadline.
    pub async fn wait(&self, table: &Arc<Table>, peer: Peer, request: &Request<'_>) -> (Bytes, Served) {
        let patient = async {
            match request.verb {
                Verb::Refresh => refresh(table, peer, request).await,
                Verb::Reload => self.reload(table, peer).await,
                Verb::Get | Verb::Erase | Verb::Status => self.wait_for_lease(table, peer, request).await,
            }
        };
        match tokio::time::timeout(ANSWER_DEADLINE, patient).await {
            Ok(done) => done,
            Err(_) => self.last_resort(&self.table(), peer, request),
        }
    }

    /// A reload may take the refresh away that is waited for: then the one that
    /// came in its place is.
    async fn wait_for_lease(&self, table: &Arc<Table>, peer: Peer, request: &Request<'_>) -> (Bytes, Served) {
        let mut table = Arc::clone(table);
        loop {
            table = match self.wait_by(&table, peer, request).await {
                Ok(done) => return done,
                Err(target) => {
                    let next = self.table();
                    if Arc::ptr_eq(&table, &next) {
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
        table: &'t Table,
        peer: Peer,
        request: &Request<'_>,
    ) -> Result<(Bytes, Served), Target<'t>> {
        let target = match wanted(table, peer, request) {
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
                reader.tell(Ask::Demand);
            }
            if reader.changed().await.is_err() {
                return Err(target);
            }
        }
    }

    /// Time is up: what is live is better than nothing.
    fn last_resort(&self, table: &Table, peer: Peer, request: &Request<'_>) -> (Bytes, Served) {
        if let (Verb::Get, Choice::Of(target)) = (request.verb, answer::choose(table, request, peer.uid)) {
            let (held, now) = (target.credential.reader.held(), clock::now());
            if let Some(lease) = held.live(now) {
                return (self.hand_out(now, peer, request, &target, lease), Served::Ok);
            }
            return refused_get(peer, request, &target, LATE);
        }
        refused(LATE)
    }

    async fn reload(&self, table: &Table, peer: Peer) -> (Bytes, Served) {
        if !table.admission.is_operator(peer.uid) {
            return refused("only root and the daemon's own user may reload it");
        }
        let (answer, done) = oneshot::channel();
        let sent = self.commands.send(Command::Reload(answer)).await;
        match (sent, done.await) {
            (Ok(()), Ok(Ok(()))) => (answer::plain(Word::Ok, None), Served::Ok),
            (Ok(()), Ok(Err(faults))) => refused(&faults),
            _ => refused("the daemon is stopping"),
        }
    }
}

/// Who got a credential stands in the audit; who got none, and why, only where
/// somebody looks for it.
fn refused_get(peer: Peer, request: &Request<'_>, target: &Target<'_>, reason: &str) -> (Bytes, Served) {
    let (uid, pid, client) = (peer.uid.as_raw(), peer.pid, request.client.name());
    tracing::debug!(uid, pid, client, origin = %target.origin, "refused: {reason}");
    refused(reason)
}

fn refused(reason: &str) -> (Bytes, Served) {
    (answer::plain(Word::Refused, Some(reason)), Served::Refused)
}

/// What is asked for, or the answer where nothing of it could be given.
fn wanted<'t>(table: &'t Table, peer: Peer, request: &Request<'_>) -> Result<Target<'t>, (Bytes, Served)> {
    match answer::choose(table, request, peer.uid) {
        Choice::Silent => Err((answer::plain(Word::Silent, None), Served::Silent)),
        Choice::Forbidden(credential) => Err(forbidden(credential, peer)),
        Choice::Of(target) => Ok(target),
    }
}

fn forbidden(credential: &Credential, peer: Peer) -> (Bytes, Served) {
    let reason = format!(
        "uid {} may not have the credential '{}'; see allow_users in its configuration",
        peer.uid, credential.name
    );
    refused(&reason)
}

/// Whatever it is about, the client learns nothing from the answer.
fn erase(table: &Table, peer: Peer, request: &Request<'_>) -> First {
    if let (Choice::Of(target), Some(sha256)) = (answer::choose(table, request, peer.uid), request.sha256)
        // What is in nobody's hand changes nothing, and must not keep the news
        // of what is out of the line.
        && target.credential.reader.held().holds(&sha256)
    {
        target.credential.reader.tell(Ask::Rejected { sha256 });
    }
    First::Done(answer::plain(Word::Ok, None), Served::Ok)
}

/// Refreshes the one named, or all that can be; fails if any fails.
async fn refresh(table: &Table, peer: Peer, request: &Request<'_>) -> (Bytes, Served) {
    let wanted: Vec<&Credential> = match request.name {
        None => table.credentials.iter().filter(|c| c.refreshable && table.may_have(c, peer.uid)).collect(),
        Some(name) => match table.named(name).filter(|c| table.may_have(c, peer.uid)) {
            Some(credential) => vec![credential],
            None => {
                return refused(&format!(
                    "there is no credential '{}' for you to refresh",
                    crate::system::text::outside(name)
                ));
            }
        },
    };
    if wanted.is_empty() {
        return refused("no credential has a source that can be asked again");
    }
    let operator = table.admission.is_operator(peer.uid);
    let mut outcomes = Vec::new();
    for credential in wanted {
        // Here too, so that who asks again and again stands in nobody's way.
        let spared = credential.reader.held().spared(clock::now().boot, credential.forced_min_gap);
        outcomes.push((
            credential,
            match spared.filter(|_| !operator) {
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
    if faults.is_empty() { (answer::plain(Word::Ok, None), Served::Ok) } else { refused(&faults) }
}

enum Known {
    Already(Outcome),
    Later(oneshot::Receiver<Outcome>),
}

fn judge(credential: &Credential, outcome: Option<Outcome>) -> Result<(), String> {
    let held = credential.reader.held();
    match outcome {
        Some(Outcome::Refreshed { .. } | Outcome::SameToken | Outcome::Shorter | Outcome::Idle) => Ok(()),
        Some(Outcome::NoSource) => Err("its source can't be asked again".into()),
        Some(Outcome::Holding) if asked_for_peace(&held) => {
            Err(format!("its source asked to be left alone for now: {}", last_error(&held)))
        }
        Some(_) => Err(last_error(&held)),
        None => Err(ENDED.into()),
    }
}

fn asked_for_peace(held: &Held) -> bool {
    held.last_error.as_deref().is_some_and(|trouble| trouble.failure.retry_after.is_some())
}

fn last_error(held: &Held) -> String {
    held.last_error.as_deref().map_or_else(String::new, |trouble| trouble.failure.to_string())
}
