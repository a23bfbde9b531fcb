//! The refresh of one credential as a pure machine: it is told what happened
//! and when, and answers what to do. Whoever drives it starts the fetch that an
//! [`Action`] asks for, sets one timer to the instant that it names, and
//! publishes [`Machine::held`] after every event.
//!
//! What it keeps to:
//! - at most one fetch is in flight, and nearly every event can only bring the
//!   next one forward, never put it off;
//! - an error never takes a live lease away, and nothing makes a dead one live;
//! - it never ends: with a source there is always a next instant to wake at;
//! - the pace of retries follows from the number of failures alone.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Action, Event, InitialState, RefreshOutcome};
use super::held::{Held, LastFailure, Serving};
use super::plan::RefreshPlan;
use super::policy::RefreshPolicy;
use crate::credential::lease::{Class, Failure, Fresh, Lease, SourceKind};
use crate::system::time::{Boot, Deadline, Moment};

pub struct Machine {
    policy: RefreshPolicy,
    held: Held,
    plan: RefreshPlan,
    /// Whether the next new token starts a first interval: nothing was held
    /// yet, or the source has just come back.
    first: bool,
    /// When the fetch in flight started, or the last one did.
    asked: Option<Boot>,
    /// When a rejection last started a fetch.
    forced: Option<Boot>,
    /// The source changed while a fetch was in flight that may not have seen it.
    changed_in_flight: bool,
}

/// What keeps a fetch from starting after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryHold {
    Free,
    BackOff,
    NotConfigured,
    /// The source said how long to leave it alone.
    RetryAfter,
}

impl Machine {
    pub fn new(policy: RefreshPolicy, start: InitialState, now: Moment, jitter: f64) -> (Self, Action) {
        let mut leases = start.leases;
        leases.sort_by_key(|lease| lease.generation);
        // Those of the dead count too: no two tokens have the same one.
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
            first: held.current.is_none(),
            held,
            plan: RefreshPlan::default(),
            asked: None,
            forced: None,
            changed_in_flight: false,
        };
        machine.forget_rejections();
        machine.plan = RefreshPlan::at_start(&machine.policy, &machine.held, now, jitter);
        let action = machine.finish_event(now, false, RefreshOutcome::Idle);
        (machine, action)
    }

    /// What to publish.
    #[must_use]
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        self.policy.attempt_timeout
    }

    /// `jitter` is a new number in [0, 1) each time.
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

    fn on_rejected(&mut self, now: Moment, sha256: [u8; 32]) -> (bool, RefreshOutcome) {
        let is = |lease: &Option<Arc<Lease>>| {
            lease.as_deref().is_some_and(|lease| lease.sha256 == sha256 && lease.is_live(now))
        };
        let known = self.held.rejected.contains(&sha256);
        if is(&self.held.current) {
            let received = self.held.current.as_ref().map(|lease| lease.received.boot);
            let settled = received.unwrap_or_default().saturating_add(self.policy.replication_lag);
            if self.held.refreshable && now.boot <= settled {
                let outcome = match self.held.replication_grace_until.replace(settled) {
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
            // Only its first rejection makes callers wait: after that the token
            // is known to be all there is, and whoever forges rejections would
            // stop the service for as long as a fetch takes.
            if !known && (fetch || self.held.in_flight) {
                self.held.awaited = true;
            }
            return (fetch, outcome);
        }
        if is(&self.held.fallback) && !known {
            self.mark_rejected(sha256);
            // It was all there was, so a back-off has nothing more to protect.
            let fetch = self.held.refreshable && !self.held.in_flight && self.retry_hold(now) != RetryHold::RetryAfter;
            return (fetch, RefreshOutcome::FallbackRejected);
        }
        (false, RefreshOutcome::Idle)
    }

    /// Whether a rejection may start a fetch now; else brings it forward to
    /// when it may.
    fn force_for_rejection(&mut self, now: Moment) -> bool {
        let free = matches!(self.retry_hold(now), RetryHold::Free | RetryHold::BackOff);
        if self.held.in_flight || !free {
            return false;
        }
        let allowed = self.forced.map(|forced| forced.saturating_add(self.policy.forced_min_gap));
        match allowed {
            Some(allowed) if now.boot < allowed => {
                self.plan.bring_forward(allowed);
                false
            }
            _ => {
                self.forced = Some(now.boot);
                true
            }
        }
    }

    /// A bearer matters only while the source fails; a file is the credential.
    fn on_source_changed(&mut self, now: Moment) -> (bool, RefreshOutcome) {
        if self.held.in_flight {
            self.changed_in_flight = true;
            return (false, RefreshOutcome::Joined);
        }
        if !self.change_matters(now) {
            return (false, RefreshOutcome::Idle);
        }
        // No faster than the fastest retry, however often the file is written.
        match self.after_last_attempt() {
            Some(soonest) if now.boot < soonest => {
                self.plan.bring_forward(soonest);
                (false, RefreshOutcome::Idle)
            }
            _ => ask_if(true, RefreshOutcome::Idle),
        }
    }

    fn change_matters(&self, now: Moment) -> bool {
        let is_file = |lease: &Arc<Lease>| lease.source == SourceKind::File;
        let refused = self.last_class().is_some_and(|class| matches!(class, Class::Http401 | Class::Http403));
        let idle = self.held.consecutive_failures == 0 && self.held.current.as_deref().is_some_and(|l| l.is_live(now));
        self.held.current.as_ref().is_some_and(is_file)
            || refused
            || (!idle && self.retry_hold(now) != RetryHold::RetryAfter)
    }

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
            && let Some(soonest) = self.after_last_attempt()
        {
            self.plan.bring_forward(soonest.max(now.boot));
        }
        self.forget_rejections();
        self.finish_event(now, false, outcome)
    }

    fn on_failure(&mut self, now: Moment, jitter: f64, failure: Failure) -> RefreshOutcome {
        let before = self.held.consecutive_failures;
        let class = failure.class;
        self.plan = RefreshPlan::failed(&self.policy, &self.held, &failure, before, now, jitter);
        self.first = true;
        self.held.consecutive_failures = before.saturating_add(1);
        self.held.last_error = Some(Arc::new(LastFailure { failure, at: now }));
        RefreshOutcome::Failed(class)
    }

    /// Puts what a fetch brought where it belongs.
    fn accept_token(&mut self, now: Moment, fresh: Fresh) -> Result<RefreshOutcome, Failure> {
        let sha256 = fresh.secret.sha256();
        let dead = Failure::new(Class::Expired, "the token that came is already expired");
        if fresh.deadline.is_some_and(|d| d.left(now).is_zero()) {
            return Err(dead);
        }
        let mut deadline = fresh.deadline;
        for lease in [&mut self.held.current, &mut self.held.previous].into_iter().flatten() {
            if lease.sha256 != sha256 {
                continue;
            }
            // Once dead it stays dead: an answer never makes a life longer.
            if !lease.is_live(now) {
                return Err(dead);
            }
            deadline = sooner(lease.deadline, deadline);
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
            // By what their source wrote down, since what was measured at
            // receipt has the answer's travel in it; and by that too, since a
            // source may write down a year that no token sees.
            && let (Some(new), Some(in_hand)) = (deadline, old.deadline)
            && new.wall < in_hand.wall
            && new.boot < in_hand.boot
        {
            return Ok(RefreshOutcome::ExpiresSooner);
        }
        let generation = self.held.generation + 1;
        // A dead one too: its source may yet name it again as if it lived.
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

    fn plan_next(&mut self, now: Moment, jitter: f64, outcome: RefreshOutcome) {
        let Some(lease) = self.held.current.clone() else {
            return;
        };
        self.plan = if self.held.suspect() {
            RefreshPlan::urgent(&self.policy, &lease, now, jitter)
        } else if let RefreshOutcome::Refreshed { .. } = outcome {
            let first = std::mem::take(&mut self.first);
            RefreshPlan::renewed(&self.policy, &lease, first, now, jitter)
        } else {
            RefreshPlan::repeated(&self.policy, &lease, now, jitter)
        };
    }

    fn due(&self, now: Moment) -> Boot {
        self.plan.due(self.held.current.as_deref(), now)
    }

    fn retry_hold(&self, now: Moment) -> RetryHold {
        let Some(trouble) = self.held.last_error.as_deref() else {
            return RetryHold::Free;
        };
        if self.held.consecutive_failures == 0 || self.due(now) <= now.boot {
            return RetryHold::Free;
        }
        match (trouble.failure.class, trouble.failure.retry_after) {
            (_, Some(wait)) if !wait.is_zero() => RetryHold::RetryAfter,
            (Class::Http404, _) => RetryHold::NotConfigured,
            _ => RetryHold::BackOff,
        }
    }

    fn last_class(&self) -> Option<Class> {
        let trouble = self.held.last_error.as_deref()?;
        (self.held.consecutive_failures > 0).then_some(trouble.failure.class)
    }

    fn after_last_attempt(&self) -> Option<Boot> {
        self.asked.map(|asked| asked.saturating_add(self.policy.retry_base))
    }

    fn mark_rejected(&mut self, sha256: [u8; 32]) {
        if !self.held.rejected.contains(&sha256) {
            let kept = self.held.rejected.iter().copied();
            self.held.rejected = kept.chain([sha256]).collect();
        }
    }

    /// Keeps no more than concerns the leases in hand.
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

    /// Where every event ends: the one place that starts a fetch.
    fn finish_event(&mut self, now: Moment, fetch: bool, outcome: RefreshOutcome) -> Action {
        if fetch {
            self.held.in_flight = true;
            self.asked = Some(now.boot);
        }
        let waits = self.held.refreshable && !self.held.in_flight;
        self.held.next_due = waits.then(|| self.due(now));
        Action { fetch, wake_at: self.held.next_due, outcome }
    }
}

fn ask_if(condition: bool, otherwise: RefreshOutcome) -> (bool, RefreshOutcome) {
    match condition {
        true => (true, RefreshOutcome::Asking),
        false => (false, otherwise),
    }
}

fn sooner(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Deadline { boot: a.boot.min(b.boot), wall: a.wall.min(b.wall) }),
        (a, b) => a.or(b),
    }
}
