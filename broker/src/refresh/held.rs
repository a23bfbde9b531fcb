//! What is held of one credential: the value that is published after every
//! event, and every question that may be asked of it.
//!
//! The last good token and the last error are separate fields, and no error
//! ever takes a token away. Every answer is computed for the moment of the
//! question, so that a suspended machine or a stepped clock is noticed by
//! whoever asks, without a wake-up.

use std::sync::Arc;
use std::time::Duration;

use super::RefreshOutcome;
use crate::credential::lease::{Class, Failure, Lease, SourceKind};
use crate::system::time::{Boot, Moment};

#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Whether there is a source that can be asked again.
    pub refreshable: bool,
    pub current: Option<Arc<Lease>>,
    /// What `current` took the place of.
    pub previous: Option<Arc<Lease>>,
    /// What to serve while the source fails: the provision-time token.
    pub fallback: Option<Arc<Lease>>,
    /// SHA-256 of those of the three that were rejected by their host. To be
    /// kept wherever the leases are kept.
    pub rejected: Arc<[[u8; 32]]>,
    pub last_error: Option<Arc<LastFailure>>,
    /// When a source last answered with something usable, the same token too.
    pub last_success: Option<Moment>,
    /// Since the last success.
    pub consecutive_failures: u32,
    pub in_flight: bool,
    /// The fetch in flight was caused by a rejection, and callers wait for it.
    pub awaited: bool,
    /// Until then `previous` answers: `current` may not have spread yet.
    pub replication_grace_until: Option<Boot>,
    /// When the next fetch falls due, as of the event that this was published
    /// after; `None` while one is in flight or where there is no source.
    pub next_due: Option<Boot>,
    /// The source repeats a token although a newer one was asked for.
    pub upstream_cached: bool,
    /// Of the newest token ever held, from 1; 0 before that.
    pub generation: u64,
}

/// The last failure, and when it came.
#[derive(Clone, Debug)]
pub struct LastFailure {
    pub failure: Failure,
    pub at: Moment,
}

/// What a caller gets.
#[derive(Clone, Copy, Debug)]
pub enum Serving<'a> {
    Live(&'a Lease),
    /// Send [`Event::Demand`](super::Event::Demand) and wait for the outcome of
    /// the fetch. If the caller's time runs out first, [`Held::live`] is what
    /// can still be given.
    Wait,
    /// [`Held::last_error`] tells more.
    Nothing(CredentialState),
}

/// As `status` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialState {
    Ok,
    /// Live, but its refresh fails.
    Stale,
    /// Nothing yet, and nothing has failed either.
    Starting,
    /// The source says that it isn't configured, and nothing was ever had.
    Unconfigured,
    Expired,
    Rejected,
    Unavailable,
}

/// The facts for `status` and the metrics, as lengths of time from now.
#[derive(Clone, Debug)]
pub struct Facts {
    pub state: CredentialState,
    pub source: Option<SourceKind>,
    pub serving: bool,
    pub generation: u64,
    pub expires_in: Option<Duration>,
    pub next_refresh_in: Option<Duration>,
    pub last_success_ago: Option<Duration>,
    pub last_error_ago: Option<Duration>,
    pub suspect: bool,
}

impl Held {
    /// What a caller gets at `now`. Never a lease that is dead by either clock.
    #[must_use]
    pub fn serving(&self, now: Moment) -> Serving<'_> {
        if self.in_flight && self.awaited {
            return Serving::Wait;
        }
        match self.live(now) {
            Some(lease) => Serving::Live(lease),
            None if self.can_ask(now) => Serving::Wait,
            None => Serving::Nothing(self.state(now)),
        }
    }

    /// The best that is live, whatever is in flight.
    #[must_use]
    pub fn live(&self, now: Moment) -> Option<&Lease> {
        let live = |lease: &&Lease| lease.is_live(now);
        let current = self.current.as_deref().filter(live);
        let previous = self.previous.as_deref().filter(live);
        let fallback = self
            .fallback
            .as_deref()
            .filter(live)
            .filter(|lease| !self.is_rejected(lease))
            .filter(|_| !self.refreshable || self.consecutive_failures > 0);
        let elder = previous
            .filter(|lease| !self.is_rejected(lease))
            .filter(|_| self.replication_grace_until.is_some_and(|until| now.boot < until));
        elder.or(current).or(previous).or(fallback)
    }

    /// Whether one of its leases is the secret with this SHA-256.
    #[must_use]
    pub fn holds(&self, sha256: &[u8; 32]) -> bool {
        let leases = [&self.current, &self.previous, &self.fallback];
        leases.into_iter().flatten().any(|lease| lease.sha256 == *sha256)
    }

    /// What an agent's wish for a refresh comes to without one: an operator's
    /// word reaches the source at once, an agent's only so often, and never
    /// through a back-off.
    #[must_use]
    pub fn throttled(&self, now: Boot, least_gap: Duration) -> Option<RefreshOutcome> {
        let just_refreshed = self.last_success.is_some_and(|then| now < then.boot.saturating_add(least_gap));
        match self.consecutive_failures {
            0 => just_refreshed.then_some(RefreshOutcome::Idle),
            _ => self.held_off(now).then_some(RefreshOutcome::BackingOff),
        }
    }

    /// Whether the host rejected the token in hand and its source has no other.
    #[must_use]
    pub fn suspect(&self) -> bool {
        self.current.as_deref().is_some_and(|lease| self.is_rejected(lease))
    }

    #[must_use]
    pub fn is_rejected(&self, lease: &Lease) -> bool {
        self.rejected.contains(&lease.sha256)
    }

    /// A suspect token that is served on doesn't count as `rejected` here: any
    /// caller can forge an `erase`, and that must not make a container look
    /// unhealthy. [`Held::suspect`] says it.
    #[must_use]
    pub fn state(&self, now: Moment) -> CredentialState {
        if self.live(now).is_some() {
            return match self.consecutive_failures {
                0 => CredentialState::Ok,
                _ => CredentialState::Stale,
            };
        }
        let fallback_rejected = self.fallback.as_deref().is_some_and(|lease| self.is_rejected(lease));
        match self.last_error.as_deref() {
            _ if self.current.is_some() => CredentialState::Expired,
            _ if fallback_rejected => CredentialState::Rejected,
            Some(trouble) => match trouble.failure.class {
                Class::Http404 => CredentialState::Unconfigured,
                _ => CredentialState::Unavailable,
            },
            _ if self.refreshable => CredentialState::Starting,
            _ if self.fallback.is_some() => CredentialState::Expired,
            _ => CredentialState::Unconfigured,
        }
    }

    #[must_use]
    pub fn facts(&self, now: Moment) -> Facts {
        let live = self.live(now);
        let ago = |then: Moment| now.boot.saturating_sub(then.boot);
        Facts {
            state: self.state(now),
            source: live.map(|lease| lease.source),
            serving: live.is_some(),
            generation: self.generation,
            expires_in: live.and_then(|lease| lease.left(now)),
            next_refresh_in: self.next_due.map(|due| due.saturating_sub(now.boot)),
            last_success_ago: self.last_success.map(ago),
            last_error_ago: self.last_error.as_deref().map(|trouble| ago(trouble.at)),
            suspect: self.suspect(),
        }
    }

    /// With nothing live: whether a fetch is in flight, or may start at once.
    fn can_ask(&self, now: Moment) -> bool {
        self.refreshable && (self.in_flight || !self.held_off(now.boot))
    }

    /// Whether a failure holds the next attempt off.
    fn held_off(&self, now: Boot) -> bool {
        self.consecutive_failures > 0 && self.next_due.is_some_and(|due| now < due)
    }
}

impl CredentialState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::Starting => "starting",
            Self::Unconfigured => "unconfigured",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether nothing is wrong that someone should act on.
    #[must_use]
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Ok | Self::Stale | Self::Starting | Self::Unconfigured)
    }
}
