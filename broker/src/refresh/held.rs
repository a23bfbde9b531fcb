//! The published value of one credential, and all queries that readers may make of it.
//!
//! The last good token and the last error are separate fields, and an error never removes a token.
//! Each query takes the current instant and computes its answer for it. So the next reader notices
//! that the machine was suspended or that a clock was stepped, and no wake-up is needed for that.

use std::sync::Arc;
use std::time::Duration;

use super::RefreshOutcome;
use crate::credential::lease::{Class, Failure, Lease, SourceKind};
use crate::system::time::{Boot, Moment};

/// Leases and refresh state of one credential. It is published after every event.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// True if there is a source that can be asked again.
    pub refreshable: bool,
    /// The newest lease. It stays here after its expiry, until a newer one replaces it.
    pub current: Option<Arc<Lease>>,
    /// The lease that `current` has replaced.
    pub previous: Option<Arc<Lease>>,
    /// The provision-time token, which is served while the source fails.
    pub fallback: Option<Arc<Lease>>,
    /// SHA-256 of each of these three tokens that its host has rejected. To be saved wherever the
    /// leases are saved.
    pub rejected: Arc<[[u8; 32]]>,
    /// The last failure. It stays here after a recovery.
    pub last_error: Option<Arc<LastFailure>>,
    /// When the source last gave a usable token, even if it only repeated one.
    pub last_success: Option<Moment>,
    /// Number of failures since the last success.
    pub consecutive_failures: u32,
    /// True while a fetch is in flight.
    pub in_flight: bool,
    /// True if callers wait for the fetch in flight, because the current token has been rejected.
    pub awaited: bool,
    /// Until this instant `previous` is served, because some servers of the host don't know
    /// `current` yet.
    pub replication_grace_until: Option<Boot>,
    /// When the next fetch is due, computed at the event before this publication. `None` while a
    /// fetch is in flight, and always if there is no source.
    pub next_due: Option<Boot>,
    /// True from when the source repeats a token with a known expiry until it gives a new one: it
    /// answers from a cache.
    pub upstream_cached: bool,
    /// Generation of the newest token ever held, counted from 1. 0 if there was none yet.
    pub generation: u64,
}

/// The last failure and its time.
#[derive(Clone, Debug)]
pub struct LastFailure {
    pub failure: Failure,
    pub at: Moment,
}

/// Answer to a caller that asks for a token.
#[derive(Clone, Copy, Debug)]
pub enum Serving<'a> {
    /// Give the caller this lease.
    Live(&'a Lease),
    /// Send [`Event::Demand`](super::Event::Demand) and wait for the outcome of the fetch. If the
    /// caller's time limit passes first, give it [`Held::live`].
    Wait,
    /// Refuse: there is no live lease, and none can be had now. [`Held::last_error`] tells more.
    Nothing(CredentialState),
}

/// State of a credential, as `status` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialState {
    /// A lease is live, and the last refresh succeeded.
    Ok,
    /// A lease is live, but its refresh fails.
    Stale,
    /// No lease has been received yet, and no fetch has failed either.
    Starting,
    /// There is no source, or it answers that it isn't configured, and no lease was ever received.
    Unconfigured,
    /// The last lease has expired, and no newer one was received.
    Expired,
    /// The host rejected the fallback, and there is no other lease.
    Rejected,
    /// No lease was ever received, and the source fails.
    Unavailable,
}

/// Facts about a credential for `status` and the metrics. All times are relative to one instant.
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
    /// Returns the answer to a caller at `now`. It is never a lease that has expired by either
    /// clock.
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

    /// Returns the best live lease, even if callers should rather wait for the fetch in flight.
    ///
    /// The first live one of these is the best: the previous lease during the replication grace,
    /// the current lease, the previous lease, the fallback. A rejected current lease is still
    /// served, since any caller can forge a rejection. A rejected fallback isn't. The fallback is
    /// also withheld until the source has failed, if there is a source.
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
        let preferred_previous = previous
            .filter(|lease| !self.is_rejected(lease))
            .filter(|_| self.replication_grace_until.is_some_and(|until| now.boot < until));
        preferred_previous.or(current).or(previous).or(fallback)
    }

    /// Tells whether a token with this SHA-256 is held.
    #[must_use]
    pub fn holds(&self, sha256: &[u8; 32]) -> bool {
        let leases = [&self.current, &self.previous, &self.fallback];
        leases.into_iter().flatten().any(|lease| lease.sha256 == *sha256)
    }

    /// Returns the outcome of a refresh request that is throttled, or `None` if it isn't. For users
    /// other than operators: they can't cause a fetch within `min_gap` after a success, nor during
    /// a back-off.
    #[must_use]
    pub fn throttled(&self, now: Boot, min_gap: Duration) -> Option<RefreshOutcome> {
        let just_refreshed = self.last_success.is_some_and(|then| now < then.boot.saturating_add(min_gap));
        match self.consecutive_failures {
            0 => just_refreshed.then_some(RefreshOutcome::Idle),
            _ => self.held_off(now).then_some(RefreshOutcome::BackingOff),
        }
    }

    /// Tells whether the current token is suspect: its host rejected it, and its source hasn't
    /// given another one.
    #[must_use]
    pub fn suspect(&self) -> bool {
        self.current.as_deref().is_some_and(|lease| self.is_rejected(lease))
    }

    /// Tells whether the host has rejected this lease's token.
    #[must_use]
    pub fn is_rejected(&self, lease: &Lease) -> bool {
        self.rejected.contains(&lease.sha256)
    }

    /// Returns the credential's state at `now`. A suspect token that is still served doesn't make
    /// it [`CredentialState::Rejected`]: any caller can forge an `erase`, and that must not make a
    /// container look unhealthy. [`Held::suspect`] reports it instead.
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
            Some(last) => match last.failure.class {
                Class::Http404 => CredentialState::Unconfigured,
                _ => CredentialState::Unavailable,
            },
            _ if self.refreshable => CredentialState::Starting,
            _ if self.fallback.is_some() => CredentialState::Expired,
            _ => CredentialState::Unconfigured,
        }
    }

    /// Returns the facts as of `now`.
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
            last_error_ago: self.last_error.as_deref().map(|last| ago(last.at)),
            suspect: self.suspect(),
        }
    }

    /// Tells whether a caller that finds no live lease can wait for one: a fetch is in flight, or
    /// may start at once.
    fn can_ask(&self, now: Moment) -> bool {
        self.refreshable && (self.in_flight || !self.held_off(now.boot))
    }

    /// Tells whether a failure delays the next attempt.
    fn held_off(&self, now: Boot) -> bool {
        self.consecutive_failures > 0 && self.next_due.is_some_and(|due| now < due)
    }
}

impl CredentialState {
    /// Returns the name that `status` shows.
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

    /// True unless the state calls for an operator to act.
    #[must_use]
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Ok | Self::Stale | Self::Starting | Self::Unconfigured)
    }
}
