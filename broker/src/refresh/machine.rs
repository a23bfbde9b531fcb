//! The refresh of one credential as a pure machine: events and instants go in, actions come out.
//!
//! The driver starts a fetch if the [`Action`] says so, sets one timer to the instant that it
//! names, and publishes [`Machine::held`] after every event.
//!
//! These properties always hold:
//! - At most one fetch is in flight. Only the end of a fetch can postpone the next one: every other
//!   event can only bring it forward.
//! - An error never removes a live lease, and no answer revives an expired one.
//! - The machine never ends: with a source, either a fetch is in flight or there is a next instant
//!   to wake at.
//! - The back-off depends on the number of failures alone, and never on the life that the lease has
//!   left.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Action, Event, InitialState, RefreshOutcome};
use super::held::{Held, LastFailure, Serving};
use super::plan::RefreshPlan;
use super::policy::RefreshPolicy;
use crate::credential::lease::{Class, Failure, Fresh, Lease, SourceKind};
use crate::system::time::{Boot, Deadline, Moment};

/// State machine that decides when to fetch one credential's next token.
pub struct Machine {
    policy: RefreshPolicy,
    held: Held,
    plan: RefreshPlan,
    /// True if the interval after the next new token is spread at random: no lease was held at the
    /// start, or the source has failed since.
    spread_next: bool,
    /// When the last fetch started. It may still be in flight.
    last_attempt: Option<Boot>,
    /// When a rejection of the current token last started a fetch.
    last_forced: Option<Boot>,
    /// True if the source's file changed during the fetch in flight, which may have read the old
    /// one.
    changed_in_flight: bool,
}

/// Reason why no fetch may start yet after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryHold {
    /// There is none: a fetch may start.
    Free,
    /// The random wait after a failure isn't over.
    BackOff,
    /// The source has answered that it isn't configured (404), and is asked at the slowest pace.
    NotConfigured,
    /// The source has asked to be left alone for a time that isn't over.
    RetryAfter,
}

impl Machine {
    /// Creates a machine and returns its first action, which never starts a fetch.
    pub fn new(policy: RefreshPolicy, start: InitialState, now: Moment, jitter: f64) -> (Self, Action) {
        let mut leases = start.leases;
        leases.sort_by_key(|lease| lease.generation);
        // Expired leases count too: no two tokens may have the same generation.
        let generation = leases.last().map_or(0, |lease| lease.generation);
        leases.retain(|lease| lease.is_live(now));
        let current = leases.pop().map(Arc::new);
        let previous = leases.pop().map(Arc::new);
        let held = Held {
            refreshable: start.refreshable,
            generation,
            last_success: current.as_ref().map(|lease| lease.received),
            current,
            previous,
            fallback: start.fallback.map(Arc::new),
            rejected: start.rejected.into(),
            consecutive_failures: u32::from(start.failure.is_some()),
            last_error: start.failure.map(|failure| Arc::new(LastFailure { failure, at: now })),
            ..Held::default()
        };
        let mut machine = Self {
            policy,
            spread_next: held.current.is_none(),
            held,
            plan: RefreshPlan::default(),
            last_attempt: None,
            last_forced: None,
            changed_in_flight: false,
        };
        machine.forget_rejections();
        machine.plan = RefreshPlan::at_start(&machine.policy, &machine.held, now, jitter);
        let action = machine.finish_event(now, false, RefreshOutcome::Idle);
        (machine, action)
    }

    /// Returns the value to publish after every event.
    #[must_use]
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Returns the time limit of one fetch.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        self.policy.attempt_timeout
    }

    /// Handles an event that happened at `now`. `jitter` is a new random number in [0, 1) each
    /// time.
    pub fn on(&mut self, now: Moment, jitter: f64, event: Event) -> Action {
        let (fetch, outcome) = match event {
            Event::Fetched(result) => return self.on_fetched(now, jitter, result),
            Event::Rejected { sha256 } => self.on_rejected(now, sha256),
            _ if !self.held.refreshable => (false, RefreshOutcome::NoSource),
            Event::SourceChanged => self.on_source_changed(now),
            _ if self.held.in_flight => (false, RefreshOutcome::Joined),
            Event::Due => ask_if(self.due(now) <= now.boot, RefreshOutcome::Idle),
            Event::Demand => match self.held.serving(now) {
                Serving::Live(_) => (false, RefreshOutcome::Idle),
                Serving::Wait => ask_if(true, RefreshOutcome::Idle),
                Serving::Nothing(_) => (false, RefreshOutcome::BackingOff),
            },
            Event::RefreshRequested { operator: true } => {
                ask_if(self.retry_hold(now) != RetryHold::RetryAfter, RefreshOutcome::BackingOff)
            }
            Event::RefreshRequested { operator: false } => {
                match self.held.throttled(now.boot, self.policy.forced_min_gap) {
                    Some(outcome) => (false, outcome),
                    None => ask_if(self.retry_hold(now) != RetryHold::RetryAfter, RefreshOutcome::BackingOff),
                }
            }
        };
        self.finish_event(now, fetch, outcome)
    }

    /// Handles the report that a host rejected the token with this SHA-256. Returns whether a fetch
    /// starts, and the outcome. Only reports about the current token and the fallback have an
    /// effect.
    fn on_rejected(&mut self, now: Moment, sha256: [u8; 32]) -> (bool, RefreshOutcome) {
        let is_this_token = |lease: &Option<Arc<Lease>>| {
            lease.as_deref().is_some_and(|lease| lease.sha256 == sha256 && lease.is_live(now))
        };
        let known = self.held.rejected.contains(&sha256);
        if is_this_token(&self.held.current) {
            let received = self.held.current.as_ref().map(|lease| lease.received.boot);
            let grace_end = received.unwrap_or_default().saturating_add(self.policy.replication_lag);
            if self.held.refreshable && now.boot <= grace_end {
                let outcome = match self.held.replication_grace_until.replace(grace_end) {
                    Some(_) => RefreshOutcome::RejectedAgain,
                    None => RefreshOutcome::TooFresh,
                };
                return (false, outcome);
            }
            self.mark_rejected(sha256);
            let outcome = if known { RefreshOutcome::RejectedAgain } else { RefreshOutcome::Rejected };
            if !self.held.refreshable {
                return (false, outcome);
            }
            let fetch = self.force_for_rejection(now);
            // Only the first rejection of a token makes callers wait. After that the source is
            // known to have no other token, and a client that forges rejections could block all
            // callers for as long as each fetch takes.
            if !known && (fetch || self.held.in_flight) {
                self.held.awaited = true;
            }
            return (fetch, outcome);
        }
        if is_this_token(&self.held.fallback) && !known {
            self.mark_rejected(sha256);
            // Callers get the fallback only if no other lease is live. Now they get nothing, so no
            // back-off may delay the next fetch.
            let fetch = self.held.refreshable && !self.held.in_flight && self.retry_hold(now) != RetryHold::RetryAfter;
            return (fetch, RefreshOutcome::FallbackRejected);
        }
        (false, RefreshOutcome::Idle)
    }

    /// Tells whether a rejection of the current token starts a fetch now. If the last such fetch
    /// was too recent, brings the next fetch forward to the end of the gap.
    fn force_for_rejection(&mut self, now: Moment) -> bool {
        let free = matches!(self.retry_hold(now), RetryHold::Free | RetryHold::BackOff);
        if self.held.in_flight || !free {
            return false;
        }
        let gap_end = self.last_forced.map(|last| last.saturating_add(self.policy.forced_min_gap));
        match gap_end {
            Some(gap_end) if now.boot < gap_end => {
                self.plan.bring_forward(gap_end);
                false
            }
            _ => {
                self.last_forced = Some(now.boot);
                true
            }
        }
    }

    /// Handles a change of the source's file. Returns whether a fetch starts, and the outcome.
    fn on_source_changed(&mut self, now: Moment) -> (bool, RefreshOutcome) {
        if self.held.in_flight {
            self.changed_in_flight = true;
            return (false, RefreshOutcome::Joined);
        }
        if !self.change_matters(now) {
            return (false, RefreshOutcome::Idle);
        }
        // However often the file is written, it causes at most one fetch per `retry_base`.
        match self.soonest_after_change() {
            Some(soonest) if now.boot < soonest => {
                self.plan.bring_forward(soonest);
                (false, RefreshOutcome::Idle)
            }
            _ => ask_if(true, RefreshOutcome::Idle),
        }
    }

    /// Tells whether a change of the source's file calls for a fetch.
    ///
    /// A credential file is the credential itself, so each of its changes does. A changed bearer
    /// matters if the source refused the old one (401, 403); a `Retry-After` that came with the
    /// refusal was for the old bearer. Otherwise a changed bearer matters only while the source
    /// fails or no lease is live, and only if no `Retry-After` holds.
    fn change_matters(&self, now: Moment) -> bool {
        let is_file = |lease: &Arc<Lease>| lease.source == SourceKind::File;
        let refused = self.last_class().is_some_and(|class| matches!(class, Class::Http401 | Class::Http403));
        let idle = self.held.consecutive_failures == 0 && self.held.current.as_deref().is_some_and(|l| l.is_live(now));
        self.held.current.as_ref().is_some_and(is_file)
            || refused
            || (!idle && self.retry_hold(now) != RetryHold::RetryAfter)
    }

    /// Handles the end of the fetch in flight.
    fn on_fetched(&mut self, now: Moment, jitter: f64, result: Result<Fresh, Failure>) -> Action {
        self.held.in_flight = false;
        self.held.awaited = false;
        let result = result.and_then(|fresh| self.accept_token(now, fresh));
        let outcome = match result {
            Ok(outcome) => {
                self.held.last_success = Some(now);
                self.held.consecutive_failures = 0;
                self.plan_next(now, jitter, outcome);
                outcome
            }
            Err(failure) => self.on_failure(now, jitter, failure),
        };
        if std::mem::take(&mut self.changed_in_flight)
            && self.change_matters(now)
            && let Some(soonest) = self.soonest_after_change()
        {
            self.plan.bring_forward(soonest.max(now.boot));
        }
        self.forget_rejections();
        self.finish_event(now, false, outcome)
    }

    fn on_failure(&mut self, now: Moment, jitter: f64, failure: Failure) -> RefreshOutcome {
        let earlier = self.held.consecutive_failures;
        let class = failure.class;
        self.plan = RefreshPlan::after_failure(&self.policy, &self.held, &failure, earlier, now, jitter);
        self.spread_next = true;
        self.held.consecutive_failures = earlier.saturating_add(1);
        self.held.last_error = Some(Arc::new(LastFailure { failure, at: now }));
        RefreshOutcome::Failed(class)
    }

    /// Checks a token that a fetch brought, and makes it the current one unless it already is or
    /// expires sooner.
    ///
    /// # Errors
    /// Returns a failure of the class [`Class::Expired`] if the token has expired, by this answer
    /// or by an earlier one.
    fn accept_token(&mut self, now: Moment, fresh: Fresh) -> Result<RefreshOutcome, Failure> {
        let sha256 = fresh.secret.sha256();
        let expired = Failure::new(Class::Expired, "the source gave a token that has already expired");
        if fresh.deadline.is_some_and(|d| d.left(now).is_zero()) {
            return Err(expired);
        }
        let mut deadline = fresh.deadline;
        for lease in [&mut self.held.current, &mut self.held.previous].into_iter().flatten() {
            if lease.sha256 != sha256 {
                continue;
            }
            // An answer can shorten the life of a known token, but never extend it or revive it.
            if !lease.is_live(now) {
                return Err(expired);
            }
            deadline = sooner_by_each_clock(lease.deadline, deadline);
            if deadline != lease.deadline {
                *lease = Arc::new(Lease { deadline, ..Lease::clone(lease) });
            }
        }
        let old = self.held.current.clone();
        if old.as_ref().is_some_and(|old| old.sha256 == sha256) {
            self.held.upstream_cached = deadline.is_some();
            return Ok(RefreshOutcome::SameToken);
        }
        let old_live = old.as_ref().filter(|lease| lease.is_live(now));
        if let Some(old) = old_live
            && !self.held.is_rejected(old)
            // Both clocks must agree that the new token expires sooner. The boot deadline alone
            // isn't enough: it was measured, so it contains the answer's travel time. The wall
            // deadline, which the source wrote down, isn't enough either: a source may write down a
            // year that no token lives to see.
            && let (Some(new_end), Some(old_end)) = (deadline, old.deadline)
            && new_end.wall < old_end.wall
            && new_end.boot < old_end.boot
        {
            return Ok(RefreshOutcome::ExpiresSooner);
        }
        let generation = self.held.generation + 1;
        // Even an expired lease is kept here, since its source may yet give it again as if it were
        // live.
        self.held.previous = old;
        self.held.current = Some(Arc::new(Lease {
            username: fresh.username,
            secret: Arc::new(fresh.secret),
            sha256,
            deadline,
            generation,
            received: now,
            source: fresh.source,
        }));
        self.held.generation = generation;
        self.held.replication_grace_until = None;
        self.held.upstream_cached = false;
        Ok(RefreshOutcome::Refreshed { generation })
    }

    /// Plans the next fetch after a usable answer.
    fn plan_next(&mut self, now: Moment, jitter: f64, outcome: RefreshOutcome) {
        let Some(lease) = self.held.current.clone() else {
            return;
        };
        self.plan = if self.held.suspect() {
            RefreshPlan::polling(&self.policy, &lease, now, jitter)
        } else if let RefreshOutcome::Refreshed { .. } = outcome {
            let spread = std::mem::take(&mut self.spread_next);
            RefreshPlan::after_new_token(&self.policy, &lease, spread, now, jitter)
        } else {
            RefreshPlan::after_same_token(&self.policy, &lease, now, jitter)
        };
    }

    fn due(&self, now: Moment) -> Boot {
        self.plan.due(self.held.current.as_deref(), now)
    }

    /// Returns why no fetch may start at `now`.
    fn retry_hold(&self, now: Moment) -> RetryHold {
        let Some(last) = self.held.last_error.as_deref() else {
            return RetryHold::Free;
        };
        if self.held.consecutive_failures == 0 || self.due(now) <= now.boot {
            return RetryHold::Free;
        }
        match (last.failure.class, last.failure.retry_after) {
            (_, Some(wait)) if !wait.is_zero() => RetryHold::RetryAfter,
            (Class::Http404, _) => RetryHold::NotConfigured,
            _ => RetryHold::BackOff,
        }
    }

    /// Returns the class of the last failure, if no success has followed it.
    fn last_class(&self) -> Option<Class> {
        let last = self.held.last_error.as_deref()?;
        (self.held.consecutive_failures > 0).then_some(last.failure.class)
    }

    /// Returns the earliest instant at which a change of the source's file may start a fetch.
    /// `None` if there was no fetch yet.
    fn soonest_after_change(&self) -> Option<Boot> {
        self.last_attempt.map(|last| last.saturating_add(self.policy.retry_base))
    }

    fn mark_rejected(&mut self, sha256: [u8; 32]) {
        if !self.held.rejected.contains(&sha256) {
            let kept = self.held.rejected.iter().copied();
            self.held.rejected = kept.chain([sha256]).collect();
        }
    }

    /// Forgets the rejections of tokens that are no longer held.
    fn forget_rejections(&mut self) {
        let held = &self.held;
        let leases = [&held.current, &held.previous, &held.fallback];
        let concerns = |sha256: &[u8; 32]| {
            let mut leases = leases.iter().copied().flatten();
            leases.any(|lease| lease.sha256 == *sha256)
        };
        if !held.rejected.iter().all(concerns) {
            self.held.rejected = held.rejected.iter().copied().filter(concerns).collect();
        }
    }

    /// Ends the handling of every event. This is the only place that starts a fetch.
    fn finish_event(&mut self, now: Moment, fetch: bool, outcome: RefreshOutcome) -> Action {
        if fetch {
            self.held.in_flight = true;
            self.last_attempt = Some(now.boot);
        }
        let waits = self.held.refreshable && !self.held.in_flight;
        self.held.next_due = waits.then(|| self.due(now));
        Action { fetch, wake_at: self.held.next_due, outcome }
    }
}

/// Returns that a fetch starts if `condition` holds, and else that none does, with the outcome
/// `otherwise`.
fn ask_if(condition: bool, otherwise: RefreshOutcome) -> (bool, RefreshOutcome) {
    match condition {
        true => (true, RefreshOutcome::Asking),
        false => (false, otherwise),
    }
}

/// Returns the sooner deadline by each clock on its own.
fn sooner_by_each_clock(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Deadline { boot: a.boot.min(b.boot), wall: a.wall.min(b.wall) }),
        (a, b) => a.or(b),
    }
}
