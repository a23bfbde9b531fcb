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

use super::held::{Held, Serving, Trouble};
use super::{Policy, schedule};
use crate::lease::{Class, Failure, Fresh, Lease, Provenance};
use crate::moment::{Boot, Deadline, Moment};

pub struct Machine {
    policy: Policy,
    held: Held,
    plan: Plan,
    /// Whether the next new token starts a first interval: nothing was held
    /// yet, or the source has just come back.
    first: bool,
    /// When the fetch in flight started, or the last one did.
    asked: Option<Boot>,
    /// When a rejection last started a fetch.
    forced: Option<Boot>,
    /// The source changed while a fetch was in flight that may not have seen it.
    overtaken: bool,
}

/// What there is when the machine starts.
#[derive(Default)]
pub struct Start {
    /// Whether there is a source that can be asked. Without one (a persona, or
    /// an environment token alone) the machine never fetches and never wakes.
    pub refreshable: bool,
    /// What the one before left behind, in any order; or the one lease there
    /// will ever be.
    pub leases: Vec<Lease>,
    /// [`Held::rejected`] as it was kept with them.
    pub rejected: Vec<[u8; 32]>,
    /// The provision-time token. Its deadline is for its giver to set.
    pub fallback: Option<Lease>,
}

pub enum Event {
    /// The timer fired, or the time jumped.
    Due,
    /// A caller found nothing live.
    Demand,
    /// Somebody asked for a refresh in so many words.
    Force,
    /// A host rejected the token with this SHA-256.
    Rejected { sha256: [u8; 32] },
    /// The file behind the source changed: its bearer, or the credential itself.
    SourceChanged,
    /// The fetch in flight ended.
    Fetched(Result<Fresh, Failure>),
}

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Start a fetch now; [`Event::Fetched`] must follow.
    pub fetch: bool,
    /// When to send [`Event::Due`]. `None` while a fetch is in flight, and for
    /// ever where there is no source.
    pub wake_at: Option<Boot>,
    pub outcome: Outcome,
}

/// What came of the event, for logs, metrics, sinks and whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do: not due yet, not ours, or something live is in hand.
    Idle,
    /// A fetch started.
    Asking,
    /// One was in flight already, and this joins it.
    Joined,
    /// A back-off or the source's own wish holds until `wake_at`: the last
    /// error is the answer.
    Holding,
    /// There is no source to ask.
    NoSource,
    Refreshed {
        generation: u64,
    },
    /// The source repeated the token in hand.
    SameToken,
    /// Another token, which dies before the one in hand, was put aside.
    Shorter,
    Failed(Class),
    /// The token in hand was rejected; `Action::fetch` tells whether that
    /// started a fetch.
    Rejected,
    /// The fallback was rejected and won't be served again.
    FallbackRejected,
    /// A token so young was rejected that its host may not know it yet.
    TooFresh,
}

/// When the next fetch falls due: at `at`, or `lead` before the end of the
/// current lease if that is sooner.
#[derive(Clone, Copy, Default)]
struct Plan {
    at: Option<Boot>,
    lead: Option<Duration>,
}

/// What keeps a fetch from starting after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Free,
    BackOff,
    NotConfigured,
    /// The source said how long to leave it alone.
    Asked,
}

impl Machine {
    pub fn new(policy: Policy, start: Start, now: Moment, jitter: f64) -> (Self, Action) {
        let mut leases: Vec<_> = start
            .leases
            .into_iter()
            .filter(|l| l.is_live(now))
            .collect();
        leases.sort_by_key(|lease| lease.generation);
        let current = leases.pop().map(Arc::new);
        let previous = leases.pop().map(Arc::new);
        let generation = |lease: &Arc<Lease>| lease.generation;
        let held = Held {
            refreshable: start.refreshable,
            generation: current.as_ref().map_or(0, generation),
            last_success: current.as_ref().map(|lease| lease.received),
            current,
            previous,
            fallback: start.fallback.map(Arc::new),
            rejected: start.rejected.into(),
            ..Held::default()
        };
        let mut machine = Self {
            policy,
            first: held.current.is_none(),
            held,
            plan: Plan::default(),
            asked: None,
            forced: None,
            overtaken: false,
        };
        machine.forget_rejections();
        machine.plan = machine.plan_at_start(now, jitter);
        let action = machine.end(now, false, Outcome::Idle);
        (machine, action)
    }

    /// What to publish.
    #[must_use]
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Takes other numbers; they hold from the next schedule on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// `jitter` is a new number in [0, 1) each time.
    pub fn on(&mut self, now: Moment, jitter: f64, event: Event) -> Action {
        let (fetch, outcome) = match event {
            Event::Fetched(result) => return self.on_fetched(now, jitter, result),
            Event::Rejected { sha256 } => self.on_rejected(now, sha256),
            _ if !self.held.refreshable => (false, Outcome::NoSource),
            Event::SourceChanged => self.on_source_changed(now),
            _ if self.held.in_flight => (false, Outcome::Joined),
            Event::Due => ask_if(self.due(now) <= Some(now.boot), Outcome::Idle),
            Event::Demand => match self.held.serving(now) {
                Serving::Live(_) => (false, Outcome::Idle),
                Serving::Wait => ask_if(true, Outcome::Idle),
                Serving::Nothing(_) => (false, Outcome::Holding),
            },
            Event::Force => ask_if(self.hold(now) != Hold::Asked, Outcome::Holding),
        };
        self.end(now, fetch, outcome)
    }

    fn on_rejected(&mut self, now: Moment, sha256: [u8; 32]) -> (bool, Outcome) {
        let is = |lease: &Option<Arc<Lease>>| {
            lease
                .as_deref()
                .is_some_and(|lease| lease.sha256 == sha256 && lease.is_live(now))
        };
        let known = self.held.rejected.contains(&sha256);
        if is(&self.held.current) {
            let received = self.held.current.as_ref().map(|lease| lease.received.boot);
            let settled = received
                .unwrap_or_default()
                .saturating_add(self.policy.replication_lag);
            if self.held.refreshable && now.boot <= settled {
                self.held.doubted_until = Some(settled);
                return (false, Outcome::TooFresh);
            }
            self.mark_rejected(sha256);
            if !self.held.refreshable {
                return (false, Outcome::Rejected);
            }
            let fetch = self.force_for_rejection(now);
            // Only its first rejection makes callers wait: after that the token
            // is known to be all there is, and whoever forges rejections would
            // stop the service for as long as a fetch takes.
            if !known && (fetch || self.held.in_flight) {
                self.held.awaited = true;
            }
            return (fetch, Outcome::Rejected);
        }
        if is(&self.held.fallback) && !known {
            self.mark_rejected(sha256);
            // It was all there was, so a back-off has nothing more to protect.
            let fetch =
                self.held.refreshable && !self.held.in_flight && self.hold(now) != Hold::Asked;
            return (fetch, Outcome::FallbackRejected);
        }
        (false, Outcome::Idle)
    }

    /// Whether a rejection may start a fetch now; else brings it forward to
    /// when it may.
    fn force_for_rejection(&mut self, now: Moment) -> bool {
        let free = matches!(self.hold(now), Hold::Free | Hold::BackOff);
        if self.held.in_flight || !free {
            return false;
        }
        let allowed = self
            .forced
            .map(|forced| forced.saturating_add(self.policy.forced_min_gap));
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
    fn on_source_changed(&mut self, now: Moment) -> (bool, Outcome) {
        if self.held.in_flight {
            self.overtaken = true;
            return (false, Outcome::Joined);
        }
        if !self.change_matters(now) {
            return (false, Outcome::Idle);
        }
        // No faster than the fastest retry, however often the file is written.
        match self.after_last_attempt() {
            Some(soonest) if now.boot < soonest => {
                self.plan.bring_forward(soonest);
                (false, Outcome::Idle)
            }
            _ => ask_if(true, Outcome::Idle),
        }
    }

    fn change_matters(&self, now: Moment) -> bool {
        let is_file = |lease: &Arc<Lease>| lease.origin == Provenance::File;
        let refused = self
            .last_class()
            .is_some_and(|class| matches!(class, Class::Http401 | Class::Http403));
        let idle = self.held.consecutive_failures == 0
            && self.held.current.as_deref().is_some_and(|l| l.is_live(now));
        self.held.current.as_ref().is_some_and(is_file)
            || refused
            || (!idle && self.hold(now) != Hold::Asked)
    }

    fn on_fetched(&mut self, now: Moment, jitter: f64, result: Result<Fresh, Failure>) -> Action {
        self.held.in_flight = false;
        self.held.awaited = false;
        let result = result.and_then(|fresh| self.take(now, fresh));
        let outcome = match result {
            Ok(outcome) => {
                self.held.last_success = Some(now);
                self.held.consecutive_failures = 0;
                self.plan = self.plan_after_success(now, jitter, outcome);
                outcome
            }
            Err(failure) => self.on_failure(now, jitter, failure),
        };
        if std::mem::take(&mut self.overtaken)
            && self.change_matters(now)
            && let Some(soonest) = self.after_last_attempt()
        {
            self.plan.bring_forward(soonest.max(now.boot));
        }
        self.forget_rejections();
        self.end(now, false, outcome)
    }

    fn on_failure(&mut self, now: Moment, jitter: f64, failure: Failure) -> Outcome {
        let before = self.held.consecutive_failures;
        let class = failure.class;
        let left = self.held.current.as_deref().filter(|l| l.is_live(now));
        let left = left.map(|lease| lease.left(now));
        let wished = match class {
            Class::Http404 => Some(self.policy.not_configured_interval).max(failure.retry_after),
            _ => failure.retry_after,
        };
        let wait = match wished {
            Some(wished) => schedule::asked(&self.policy, wished, left, before, jitter),
            None => schedule::backoff(&self.policy, before, jitter),
        };
        self.plan = Plan {
            at: Some(now.boot.saturating_add(wait)),
            lead: None,
        };
        self.first = true;
        self.held.consecutive_failures = before.saturating_add(1);
        self.held.last_error = Some(Arc::new(Trouble { failure, at: now }));
        Outcome::Failed(class)
    }

    /// Puts what a fetch brought where it belongs.
    fn take(&mut self, now: Moment, fresh: Fresh) -> Result<Outcome, Failure> {
        let sha256 = fresh.secret.sha256();
        let dead = Failure::new(Class::Expired, "the token that came is already expired");
        if fresh.deadline.is_some_and(|d| d.left(now).is_zero()) {
            return Err(dead);
        }
        let old = self.held.current.clone();
        let old_live = old.as_ref().filter(|lease| lease.is_live(now));
        if let Some(old) = old.as_ref().filter(|old| old.sha256 == sha256) {
            // Once dead it stays dead: an answer never makes a life longer.
            let held = old_live.ok_or(dead)?;
            let deadline = sooner(held.deadline, fresh.deadline);
            if deadline != old.deadline {
                self.held.current = Some(Arc::new(Lease {
                    deadline,
                    ..Lease::clone(old)
                }));
            }
            self.held.upstream_cached = deadline.is_some();
            return Ok(Outcome::SameToken);
        }
        if let Some(old) = old_live
            && !self.held.is_rejected(old)
            && let (Some(new), Some(in_hand)) = (fresh.deadline, old.left(now))
            && new.left(now) < in_hand
        {
            return Ok(Outcome::Shorter);
        }
        let generation = self.held.generation + 1;
        self.held.previous = old_live.cloned();
        self.held.current = Some(Arc::new(Lease {
            username: fresh.username,
            secret: Arc::new(fresh.secret),
            sha256,
            deadline: fresh.deadline,
            generation,
            received: now,
            origin: fresh.origin,
        }));
        self.held.generation = generation;
        self.held.doubted_until = None;
        self.held.upstream_cached = false;
        Ok(Outcome::Refreshed { generation })
    }

    fn plan_at_start(&self, now: Moment, jitter: f64) -> Plan {
        let spread = schedule::first(self.policy.boot_spread, schedule::nth(jitter, 2));
        let Some(lease) = self.held.current.as_deref() else {
            let delay = self.policy.initial_delay;
            let delay = delay.unwrap_or_else(|| schedule::first(self.policy.boot_spread, jitter));
            return Plan {
                at: Some(now.boot.saturating_add(delay)),
                lead: None,
            };
        };
        // As if it had never stopped: one that restarts in a loop must not ask
        // each time.
        let ceiling = match self.held.suspect() {
            true => schedule::same_token(&self.policy, lease.life(), jitter),
            false => schedule::ceiling(&self.policy, jitter),
        };
        let at = lease.received.boot.saturating_add(ceiling);
        Plan {
            at: Some(at.max(now.boot.saturating_add(spread))),
            lead: self.lead(lease, schedule::nth(jitter, 1)),
        }
    }

    fn plan_after_success(&mut self, now: Moment, jitter: f64, outcome: Outcome) -> Plan {
        let Some(lease) = self.held.current.clone() else {
            return self.plan;
        };
        let lead = self.lead(&lease, schedule::nth(jitter, 1));
        let in_or_until_lead = |lead: Duration| lease.left(now).map(|l| l.saturating_sub(lead));
        let repeats = !matches!(outcome, Outcome::Refreshed { .. });
        let near = lease.life().is_some_and(|life| {
            lease.left(now) <= Some(schedule::longest_lead(&self.policy, life))
        });
        if self.held.suspect() || (repeats && near) {
            let wait = schedule::same_token(&self.policy, lease.life(), jitter);
            return Plan {
                at: Some(now.boot.saturating_add(wait)),
                lead: lead.map(|_| Duration::ZERO),
            };
        }
        if repeats && lead.is_some() {
            return Plan { at: None, lead };
        }
        let ceiling = schedule::ceiling(&self.policy, jitter);
        let otherwise = lead
            .and_then(in_or_until_lead)
            .map_or(ceiling, |until| until.min(ceiling));
        let interval = match std::mem::take(&mut self.first) {
            true => schedule::first(otherwise, schedule::nth(jitter, 2)),
            false => ceiling,
        };
        Plan {
            at: Some(now.boot.saturating_add(interval)),
            lead,
        }
    }

    fn lead(&self, lease: &Lease, u: f64) -> Option<Duration> {
        lease
            .life()
            .map(|life| schedule::lead(&self.policy, life, u))
    }

    fn due(&self, now: Moment) -> Option<Boot> {
        let left = self.held.current.as_deref().and_then(|l| l.left(now));
        let by_end = self
            .plan
            .lead
            .zip(left)
            .map(|(lead, left)| now.boot.saturating_add(left.saturating_sub(lead)));
        match (self.plan.at, by_end) {
            (Some(at), Some(end)) => Some(at.min(end)),
            (at, end) => at.or(end),
        }
    }

    fn hold(&self, now: Moment) -> Hold {
        let Some(trouble) = self.held.last_error.as_deref() else {
            return Hold::Free;
        };
        if self.held.consecutive_failures == 0 || self.due(now) <= Some(now.boot) {
            return Hold::Free;
        }
        match (trouble.failure.class, trouble.failure.retry_after) {
            (_, Some(wait)) if !wait.is_zero() => Hold::Asked,
            (Class::Http404, _) => Hold::NotConfigured,
            _ => Hold::BackOff,
        }
    }

    fn last_class(&self) -> Option<Class> {
        let trouble = self.held.last_error.as_deref()?;
        (self.held.consecutive_failures > 0).then_some(trouble.failure.class)
    }

    fn after_last_attempt(&self) -> Option<Boot> {
        self.asked
            .map(|asked| asked.saturating_add(self.policy.retry_base))
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
    fn end(&mut self, now: Moment, fetch: bool, outcome: Outcome) -> Action {
        if fetch {
            self.held.in_flight = true;
            self.asked = Some(now.boot);
        }
        let waits = self.held.refreshable && !self.held.in_flight;
        self.held.next_due = waits.then(|| self.due(now).unwrap_or(now.boot));
        Action {
            fetch,
            wake_at: self.held.next_due,
            outcome,
        }
    }
}

impl Plan {
    fn bring_forward(&mut self, to: Boot) {
        self.at = Some(self.at.map_or(to, |at| at.min(to)));
    }
}

fn ask_if(condition: bool, otherwise: Outcome) -> (bool, Outcome) {
    match condition {
        true => (true, Outcome::Asking),
        false => (false, otherwise),
    }
}

fn sooner(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Deadline {
            boot: a.boot.min(b.boot),
            wall: a.wall.min(b.wall),
        }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
