//! Decides whether a failure could have been prevented. The decision is a pure
//! function of the ledger, the audit log, the daemon's log and the host's
//! records.
//!
//! Each agent has its own name for the host and does one operation at a time.
//! So the origin and the time of a line tell which operation it belongs to. An
//! operation may fail for three reasons:
//!
//! - The daemon refused it, in the daemon's own words, when the daemon held no
//!   live token and the platform was in trouble or out of the daemon's reach,
//!   or had just been.
//! - Its token was live when it was handed out and expired before the operation
//!   showed it for the last time, and the daemon held none that lives longer
//!   because the platform was in trouble.
//! - The same with the platform up, but we had held up the daemon: when the
//!   next token was due, so that this one had less life left than it should, or
//!   while the operation waited for the daemon again. Apart from that, the
//!   operation was fast enough.
//!
//! Failing system calls, descriptors and disks of the daemon are no excuse by
//! their own. Either clients are served all the same, or the platform is out of
//! reach meanwhile and clients get the usual message.
//!
//! If the host is shown a dead token, git is responsible if the daemon handed
//! it to that operation while it was live. A token that was dead when it was
//! handed out is always a fault, even if no operation fails.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use molecule_tests::git_host::CredentialState;
use molecule_tests::traffic::Operation;
use molecule_tests::world::config::scaled;

use crate::calendar::{Jump, Span, in_all};

pub(crate) type Sha256 = [u8; 32];

/// Precision of the times: an audit line has milliseconds, rounded down, and so
/// has the expiry that the platform announces.
const GRAIN: Duration = Duration::from_millis(1);

/// The daemon's messages when it has no credential. A refusal must contain one
/// of these.
const RIGHT_WORDS: [&str; 5] = [
    "has expired",
    "has none yet",
    "isn't configured; refresh failed",
    "no answer from the credential's source in time",
    "is stopping or was just reconfigured",
];

/// git's messages for a 401: for its first request, and for a later one.
const REFUSED_BY_HOST: [&str; 2] = ["Authentication failed", "HTTP 401"];

#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) tokens: HashMap<Sha256, Token>,
    pub(crate) handed: Vec<AuditLine>,
    pub(crate) refused: Vec<Refusal>,
    pub(crate) shown: Vec<ShownCredential>,
    /// Times when the platform was in trouble.
    pub(crate) troubles: Vec<Span>,
    /// Times when we kept the daemon from reaching the platform.
    pub(crate) cut_offs: Vec<Span>,
    pub(crate) pauses: Vec<Span>,
    pub(crate) jumps: Vec<Jump>,
    pub(crate) terms: TimeLimits,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) expires: SystemTime,
    /// Time when the platform sent it, whole and with its true expiry.
    pub(crate) sent: Option<SystemTime>,
}

/// One line of the audit log.
#[derive(Clone, Debug)]
pub(crate) struct AuditLine {
    pub(crate) at: SystemTime,
    pub(crate) host: String,
    pub(crate) token: Sha256,
}

/// One refused client, from the daemon's log.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) at: SystemTime,
    pub(crate) host: String,
    pub(crate) reason: String,
}

/// One credential that was shown to the host.
#[derive(Clone, Debug)]
pub(crate) struct ShownCredential {
    pub(crate) at: SystemTime,
    pub(crate) host: String,
    pub(crate) token: Sha256,
    pub(crate) state: CredentialState,
}

/// The times that the daemon's configuration guarantees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimits {
    /// Time in which an answer of the platform is used or given up.
    pub(crate) attempt: Duration,
    /// Time after the platform's recovery in which the daemon asks it and has a
    /// token.
    pub(crate) recovery: Duration,
    /// Least remaining life of a token while the platform is up.
    pub(crate) life_left: Duration,
}

impl TimeLimits {
    /// Returns the terms of a configuration in proportion to this life.
    pub(crate) fn of(life: Duration, attempt: Duration) -> Self {
        let minutes = |count: u64| scaled(Duration::from_secs(count * 60), life);
        let slowest_retry = minutes(10).max(Duration::from_secs(1));
        // An attempt that hung, the pause after it, and another attempt.
        let busy_machine = Duration::from_secs(1);
        let recovery = attempt + slowest_retry + attempt + busy_machine;
        // A token lives 60 minutes, of which 45 + 2 may pass until the daemon
        // requests the next one.
        Self { attempt, recovery, life_left: minutes(13).saturating_sub(attempt) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    /// There was no live token because the platform was in trouble, and the
    /// refusal said so.
    NothingToGive,
    /// The same with the platform up but out of the daemon's reach.
    OutOfReach,
    /// Its token expired while it used it, with the platform in trouble or out
    /// of reach.
    DiedInHand,
    /// The same with the platform up and the daemon held up.
    HeldUp,
    Fault(String),
}

impl Evidence {
    pub(crate) fn judge(&self, operation: &Operation) -> Verdict {
        let Some(said) = &operation.failure else { return Verdict::Well };
        let verdict = if said.starts_with("killed after") {
            Err(String::from("it hung"))
        } else if said.contains("molecule-broker: ") {
            self.refusal(operation, said)
        } else if REFUSED_BY_HOST.iter().any(|words| said.contains(words)) {
            self.death_in_hand(operation)
        } else {
            Err(String::from("no reason was given"))
        };
        verdict.unwrap_or_else(|why| Verdict::Fault(format!("{why}: {said}")))
    }

    fn refusal(&self, operation: &Operation, said: &str) -> Result<Verdict, String> {
        let during = Span { from: operation.began, to: operation.ended() };
        let own = self.refused.iter().filter(|one| one.host == operation.host);
        let last = own.filter(|one| during.from <= one.at && one.at <= during.to).max_by_key(|one| one.at);
        let refused = last.ok_or("the daemon logged no refusal of it")?;
        if !said.contains(&refused.reason) || !RIGHT_WORDS.iter().any(|words| refused.reason.contains(words)) {
            return Err(format!("the message is wrong; the daemon's was '{}'", refused.reason));
        }
        if let Some(expires) = self.longest_held(refused.at) {
            let left = expires.duration_since(refused.at).unwrap_or_default();
            return Err(format!("it was refused while the daemon held a token with {left:.1?} left"));
        }
        if self.is_amid(&self.troubles, refused.at) {
            Ok(Verdict::NothingToGive)
        } else if self.is_amid(&self.cut_offs, refused.at) {
            Ok(Verdict::OutOfReach)
        } else {
            Err(String::from("it was refused although the platform was well"))
        }
    }

    fn death_in_hand(&self, operation: &Operation) -> Result<Verdict, String> {
        let during = Span { from: operation.began, to: operation.ended() };
        let own = self.shown.iter().filter(|one| one.host == operation.host);
        let shown: Vec<_> = own.filter(|one| during.from <= one.at && one.at <= during.to).collect();
        let last = shown.iter().max_by_key(|one| one.at).ok_or("it showed no credential")?;
        if last.state.is_welcome() {
            return Err(String::from("the last token that it showed was live"));
        }
        let mut verdict = Verdict::HeldUp;
        for dead in shown.iter().filter(|one| !one.state.is_welcome()) {
            let handed = self.handed_alive(operation, dead)?;
            let expires = self.tokens[&handed.token].expires;
            if self.longest_held(handed.at).is_some_and(|longest| longest > expires) {
                return Err(String::from("it got a token while the daemon held one that lives longer"));
            }
            if [&self.troubles, &self.cut_offs].iter().any(|spans| self.is_amid(spans, handed.at)) {
                verdict = Verdict::DiedInHand;
                continue;
            }
            let left = expires.duration_since(handed.at).unwrap_or_default();
            let due = Span { from: expires - self.terms.life_left - self.terms.attempt, to: handed.at };
            if left + self.held_up(due) < self.terms.life_left {
                return Err(format!("it got a token with {left:.1?} left although the platform was well"));
            }
            let kept = Span { from: handed.at, to: dead.at };
            let took = kept.length().saturating_sub(self.held_up(kept));
            if took >= self.terms.life_left {
                return Err(format!(
                    "it kept its token for {took:.1?}, with the platform well and the daemon not held up"
                ));
            }
        }
        Ok(verdict)
    }

    /// Returns the audit line by which the daemon gave this operation the dead
    /// token that it showed, if the token was live at that time.
    fn handed_alive(&self, operation: &Operation, shown: &ShownCredential) -> Result<&AuditLine, String> {
        if shown.state != CredentialState::Expired {
            return Err(format!("it showed a token that is {:?}", shown.state));
        }
        let own = self.handed.iter().filter(|one| one.host == operation.host && one.token == shown.token);
        let mut lines = own.filter(|one| operation.began <= one.at + GRAIN && one.at <= shown.at);
        let line = lines.next_back().ok_or("it showed a dead token that it never got")?;
        if self.is_dead(line) {
            return Err(String::from("it got a dead token"));
        }
        Ok(line)
    }

    fn is_dead(&self, handed: &AuditLine) -> bool {
        self.tokens.get(&handed.token).is_none_or(|token| token.expires <= handed.at)
    }

    /// Returns the audit lines by which the daemon handed out a token that was
    /// dead or was never minted.
    pub(crate) fn handed_dead(&self) -> Vec<&AuditLine> {
        self.handed.iter().filter(|line| self.is_dead(line)).collect()
    }

    /// Judges each dead credential that was shown to the host. `Some` is the
    /// reason why it is a fault.
    pub(crate) fn shown_dead(&self, operations: &[Operation]) -> Vec<Option<String>> {
        let dead = self.shown.iter().filter(|one| !one.state.is_welcome());
        let judged = dead.map(|shown| {
            let mut own = operations.iter().filter(|one| one.host == shown.host);
            match own.find(|one| one.began <= shown.at && shown.at <= one.ended()) {
                None => Some(String::from("a dead token was shown outside of any operation")),
                Some(operation) => self.handed_alive(operation, shown).err(),
            }
        });
        judged.collect()
    }

    /// Returns the last expiry of the live tokens that the daemon certainly
    /// held at this time. It certainly held a token that it had handed out
    /// before, or that the platform had sent while nothing was in its way.
    fn longest_held(&self, then: SystemTime) -> Option<SystemTime> {
        let handed = self.handed.iter().filter(|line| line.at < then).map(|line| (line.token, line.at));
        let arrived = self.tokens.iter().filter(|(_, token)| self.has_arrived(token, then));
        let sent = arrived.filter_map(|(sha256, token)| Some((*sha256, token.sent?)));
        let expiries = handed.chain(sent).filter_map(|(sha256, held_since)| {
            let token = self.tokens.get(&sha256)?;
            Some(token.expires - self.jumped(token.sent.unwrap_or(held_since), then))
        });
        expiries.filter(|expires| *expires > then + GRAIN).max()
    }

    /// Returns by how much the daemon's clock jumped between the two times.
    fn jumped(&self, since: SystemTime, then: SystemTime) -> Duration {
        self.jumps.iter().filter(|jump| since <= jump.at && jump.at <= then).map(|jump| jump.by).sum()
    }

    fn has_arrived(&self, token: &Token, then: SystemTime) -> bool {
        token.sent.is_some_and(|sent| {
            let travel = Span { from: sent, to: sent + self.terms.attempt };
            let mut obstacles = self.troubles.iter().chain(&self.cut_offs).chain(&self.pauses);
            travel.to <= then && !obstacles.any(|span| span.meets(&travel))
        })
    }

    /// Returns for how much of this span the daemon couldn't work.
    fn held_up(&self, during: Span) -> Duration {
        let parts =
            self.pauses.iter().map(|pause| Span { from: pause.from.max(during.from), to: pause.to.min(during.to) });
        in_all(&parts.filter(|part| part.from < part.to).collect::<Vec<_>>())
    }

    /// True if the platform is in this trouble, or was in it so shortly before
    /// that the daemon may not have a token again. Times when the daemon was
    /// held up don't count.
    fn is_amid(&self, troubles: &[Span], then: SystemTime) -> bool {
        troubles.iter().any(|trouble| {
            let since = Span { from: trouble.to, to: then };
            let paused: Duration = self.pauses.iter().filter(|pause| pause.meets(&since)).map(Span::length).sum();
            trouble.from <= then && then <= trouble.to + self.terms.recovery + paused
        })
    }
}
