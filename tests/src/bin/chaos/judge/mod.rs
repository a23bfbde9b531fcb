//! Whether a failure could be helped: pure, from what the ledger, the audit,
//! the daemon's log and the host's book say.
//!
//! Each agent has a name of its own for the host and does one thing at a time,
//! so a line's origin and moment tell which operation it belongs to. An
//! operation may fail for three reasons:
//!
//! - it was refused, in the daemon's own words, at a moment at which the daemon
//!   held no living token and the platform was, or had just been, in trouble or
//!   out of the daemon's reach;
//! - its token was handed out alive and died in its hands before it was shown
//!   for the last time, and while the platform was in trouble the daemon had
//!   none that lives longer;
//! - likewise with the platform well, but we had held the daemon up: when the
//!   successor was due, so that the token had less left than it should have, or
//!   while the operation waited for the daemon once more. Without that the
//!   operation was quick enough.
//!
//! What we do to the daemon's system calls, descriptors and disks is no reason
//! of its own: whatever it costs, callers are served, or the platform is out of
//! reach meanwhile and they are told what they are always told.
//!
//! A dead token that the host is shown is git's doing if the daemon handed it
//! to that very operation while it lived. One that was dead when it was handed
//! out is a fault whatever came of it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use molecule_tests::git_host::Worth;
use molecule_tests::traffic::Operation;
use molecule_tests::world::config::scaled;

use crate::calendar::{Jump, Span, in_all};

pub(crate) type Sha256 = [u8; 32];

/// An audit line has milliseconds, rounded down, and so has what the platform
/// says of a token's end.
const GRAIN: Duration = Duration::from_millis(1);

/// What the daemon says when it has nothing to give: one of these, and more.
const RIGHT_WORDS: [&str; 5] = [
    "has expired",
    "has none yet",
    "isn't configured; refresh failed",
    "no answer from the credential's source in time",
    "is stopping or was just reconfigured",
];

/// What git says of a 401: to its first request, and to a later one.
const REFUSED_BY_HOST: [&str; 2] = ["Authentication failed", "HTTP 401"];

#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) tokens: HashMap<Sha256, Token>,
    pub(crate) handed: Vec<Handed>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) shown: Vec<Shown>,
    /// The platform's own.
    pub(crate) troubles: Vec<Span>,
    /// When the daemon couldn't reach it, by our doing.
    pub(crate) cut_offs: Vec<Span>,
    pub(crate) pauses: Vec<Span>,
    pub(crate) jumps: Vec<Jump>,
    pub(crate) terms: Terms,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) expires: SystemTime,
    /// When the platform sent it off, whole and true.
    pub(crate) sent: Option<SystemTime>,
}

/// One line of the audit.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    pub(crate) at: SystemTime,
    pub(crate) host: String,
    pub(crate) token: Sha256,
}

/// One client that was told no, by the daemon's log.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) at: SystemTime,
    pub(crate) host: String,
    pub(crate) reason: String,
}

/// One credential that the host was shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) at: SystemTime,
    pub(crate) host: String,
    pub(crate) token: Sha256,
    pub(crate) worth: Worth,
}

/// What the daemon's configuration promises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Within this a platform's answer is used or given up.
    pub(crate) attempt: Duration,
    /// Within this of the platform's recovery the daemon asks it and has a
    /// token.
    pub(crate) recovery: Duration,
    /// What a token has left at least while the platform is well.
    pub(crate) life_left: Duration,
}

impl Terms {
    /// Of a configuration in proportion to this life.
    pub(crate) fn of(life: Duration, attempt: Duration) -> Self {
        let minutes = |count: u64| scaled(Duration::from_secs(count * 60), life);
        let slowest_retry = minutes(10).max(Duration::from_secs(1));
        // An attempt that hung, the pause after it, and one more.
        let busy_machine = Duration::from_secs(1);
        let recovery = attempt + slowest_retry + attempt + busy_machine;
        // 60 minutes, of which 45 + 2 may pass before it is asked for another.
        Self { attempt, recovery, life_left: minutes(13).saturating_sub(attempt) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    /// No token was to be had with the platform in trouble, and the refusal said
    /// so.
    NothingToGive,
    /// Likewise with the platform well, and out of the daemon's reach.
    OutOfReach,
    /// Its token died in its hands, with the platform in trouble or out of reach.
    DiedInHand,
    /// Likewise with the platform well, and the daemon held up.
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
            Err(String::from("nobody said why"))
        };
        verdict.unwrap_or_else(|why| Verdict::Fault(format!("{why}: {said}")))
    }

    fn refusal(&self, operation: &Operation, said: &str) -> Result<Verdict, String> {
        let during = Span { from: operation.began, to: operation.ended() };
        let own = self.refused.iter().filter(|one| one.host == operation.host);
        let last = own.filter(|one| during.from <= one.at && one.at <= during.to).max_by_key(|one| one.at);
        let refused = last.ok_or("no daemon refused it anything")?;
        if !said.contains(&refused.reason) || !RIGHT_WORDS.iter().any(|words| refused.reason.contains(words)) {
            return Err(format!("the message is wrong; the daemon's was '{}'", refused.reason));
        }
        if let Some(expires) = self.longest_held(refused.at) {
            let left = expires.duration_since(refused.at).unwrap_or_default();
            return Err(format!("it was refused while a token in the daemon's hand had {left:.1?} left"));
        }
        if self.is_amid(&self.troubles, refused.at) {
            Ok(Verdict::NothingToGive)
        } else if self.is_amid(&self.cut_offs, refused.at) {
            Ok(Verdict::OutOfReach)
        } else {
            Err(String::from("it was refused though the platform was well"))
        }
    }

    fn death_in_hand(&self, operation: &Operation) -> Result<Verdict, String> {
        let during = Span { from: operation.began, to: operation.ended() };
        let own = self.shown.iter().filter(|one| one.host == operation.host);
        let shown: Vec<_> = own.filter(|one| during.from <= one.at && one.at <= during.to).collect();
        let last = shown.iter().max_by_key(|one| one.at).ok_or("it never showed anything")?;
        if last.worth.is_welcome() {
            return Err(String::from("what it showed last was alive"));
        }
        let mut verdict = Verdict::HeldUp;
        for dead in shown.iter().filter(|one| !one.worth.is_welcome()) {
            let handed = self.handed_alive(operation, dead)?;
            let expires = self.tokens[&handed.token].expires;
            if self.longest_held(handed.at).is_some_and(|longest| longest > expires) {
                return Err(String::from("it was given a token while the daemon held one that lives longer"));
            }
            if [&self.troubles, &self.cut_offs].iter().any(|spans| self.is_amid(spans, handed.at)) {
                verdict = Verdict::DiedInHand;
                continue;
            }
            let left = expires.duration_since(handed.at).unwrap_or_default();
            let due = Span { from: expires - self.terms.life_left - self.terms.attempt, to: handed.at };
            if left + self.held_up(due) < self.terms.life_left {
                return Err(format!("it was given a token with {left:.1?} left though the platform was well"));
            }
            let kept = Span { from: handed.at, to: dead.at };
            let took = kept.length().saturating_sub(self.held_up(kept));
            if took >= self.terms.life_left {
                return Err(format!("it kept its token for {took:.1?}, with the platform well and nobody held up"));
            }
        }
        Ok(verdict)
    }

    /// The line by which the daemon gave a token that was dead when it was
    /// shown to the operation that showed it.
    fn handed_alive(&self, operation: &Operation, shown: &Shown) -> Result<&Handed, String> {
        if shown.worth != Worth::Expired {
            return Err(format!("something was shown that is {:?}", shown.worth));
        }
        let own = self.handed.iter().filter(|one| one.host == operation.host && one.token == shown.token);
        let mut lines = own.filter(|one| operation.began <= one.at + GRAIN && one.at <= shown.at);
        let line = lines.next_back().ok_or("a dead token was shown that this operation was never given")?;
        if self.is_dead(line) {
            return Err(String::from("it was given a dead token"));
        }
        Ok(line)
    }

    fn is_dead(&self, handed: &Handed) -> bool {
        self.tokens.get(&handed.token).is_none_or(|token| token.expires <= handed.at)
    }

    /// Lines of the audit by which the daemon gave away what was dead by then,
    /// or never minted.
    pub(crate) fn handed_dead(&self) -> Vec<&Handed> {
        self.handed.iter().filter(|line| self.is_dead(line)).collect()
    }

    /// What was shown to the host though it was dead, and why that is a fault
    /// where it is one.
    pub(crate) fn shown_dead(&self, operations: &[Operation]) -> Vec<Option<String>> {
        let dead = self.shown.iter().filter(|one| !one.worth.is_welcome());
        let judged = dead.map(|shown| {
            let mut own = operations.iter().filter(|one| one.host == shown.host);
            match own.find(|one| one.began <= shown.at && shown.at <= one.ended()) {
                None => Some(String::from("a dead token was shown outside of any operation")),
                Some(operation) => self.handed_alive(operation, shown).err(),
            }
        });
        judged.collect()
    }

    /// When the last of those tokens dies that the daemon surely held then, and
    /// that are alive then: it had handed it out before, or the platform had
    /// sent it while nothing was amiss.
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

    /// So much has gone by between the two for the daemon, and for nobody else.
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

    /// For how long of this the daemon couldn't work.
    fn held_up(&self, during: Span) -> Duration {
        let parts =
            self.pauses.iter().map(|pause| Span { from: pause.from.max(during.from), to: pause.to.min(during.to) });
        in_all(&parts.filter(|part| part.from < part.to).collect::<Vec<_>>())
    }

    /// Whether the platform is in this trouble, or was so shortly before that the
    /// daemon, as far as it was let to work, may not have a token again.
    fn is_amid(&self, troubles: &[Span], then: SystemTime) -> bool {
        troubles.iter().any(|trouble| {
            let since = Span { from: trouble.to, to: then };
            let paused: Duration = self.pauses.iter().filter(|pause| pause.meets(&since)).map(Span::length).sum();
            trouble.from <= then && then <= trouble.to + self.terms.recovery + paused
        })
    }
}
