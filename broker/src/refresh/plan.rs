//! The instant at which the next fetch is due, planned after a start and after every fetch.

use std::time::Duration;

use super::schedule::{self, LeaseLeft};
use super::{Held, RefreshPolicy};
use crate::credential::lease::{Class, Failure, Lease, SourceKind};
use crate::system::time::{Boot, Moment};

/// Plan of the next fetch: it is due at `at`, or `lead` before the current lease expires if that is
/// sooner. `lead` is a length and not an instant, because a step of the wall clock moves the
/// expiry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RefreshPlan {
    at: Option<Boot>,
    lead: Option<Duration>,
    /// An expiry makes no fetch due before this instant.
    not_before: Boot,
}

impl RefreshPlan {
    /// Plans the first fetch after a start.
    pub(super) fn at_start(policy: &RefreshPolicy, held: &Held, now: Moment, u: f64) -> Self {
        let Some(lease) = held.current.as_deref() else {
            let spread = schedule::first_interval(policy.boot_spread, u);
            return Self::after_wait(now, policy.initial_delay.unwrap_or(spread));
        };
        // The file may have changed while no daemon watched it.
        if lease.source == SourceKind::File {
            return Self::after_wait(now, Duration::ZERO);
        }
        // The interval is counted from when the lease was received, as if the daemon had never
        // stopped: a daemon that restarts in a loop must not ask at each start.
        let interval = match held.suspect() {
            true => schedule::same_token_wait(policy, lease.life(), u),
            false => schedule::ceiling(policy, u),
        };
        let overdue = schedule::first_interval(policy.boot_spread, schedule::nth_jitter(u, 2));
        let at = lease.received.boot.saturating_add(interval);
        let at = at.max(now.boot.saturating_add(overdue));
        Self { at: Some(at), lead: draw_lead(policy, lease, schedule::nth_jitter(u, 1)), ..Self::default() }
    }

    /// Plans the fetch after a new token.
    ///
    /// `spread` is true for the first token after a start without a lease, and after the source's
    /// recovery. Many containers may have got such a token together. So the interval is drawn from
    /// zero up to the usual one, and they don't stay in step.
    ///
    /// However short a token's life is, its source is asked no faster than by retries.
    pub(super) fn after_new_token(policy: &RefreshPolicy, lease: &Lease, spread: bool, now: Moment, u: f64) -> Self {
        let ceiling = schedule::ceiling(policy, u);
        let lead = draw_lead(policy, lease, schedule::nth_jitter(u, 1));
        let by_end = lead.zip(lease.left(now));
        let usual = by_end.map_or(ceiling, |(lead, left)| left.saturating_sub(lead).min(ceiling));
        let interval = match spread {
            true => schedule::first_interval(usual, schedule::nth_jitter(u, 2)),
            false => ceiling,
        };
        let not_before = now.boot + policy.retry_base;
        Self { at: Some(now.boot.saturating_add(interval).max(not_before)), lead, not_before }
    }

    /// Plans the fetch after an answer that brought no newer token than the current `lease`.
    ///
    /// The platform repeats a token until shortly before its expiry, so it is asked again inside
    /// the lead and not at the ceiling. Any other source may change its answer at any time.
    pub(super) fn after_same_token(policy: &RefreshPolicy, lease: &Lease, now: Moment, u: f64) -> Self {
        let life = lease.life();
        let longest = life.map(|life| schedule::longest_lead(policy, life));
        match (longest, lease.left(now)) {
            (Some(longest), Some(left)) if left > longest => {
                let at = (lease.source != SourceKind::Platform).then(|| now.boot + schedule::ceiling(policy, u));
                let lead = draw_lead(policy, lease, schedule::nth_jitter(u, 1));
                // The drawn lead may be nearly as long as the life left.
                Self { at, lead, not_before: now.boot + policy.retry_base }
            }
            (Some(_), Some(_)) => Self::polling(policy, lease, now, u),
            _ => Self::after_wait(now, schedule::ceiling(policy, u)),
        }
    }

    /// Plans a fetch soon, because the lease is about to expire or is suspect and its source has no
    /// other token yet. The fetch is due when the lease expires at the latest.
    pub(super) fn polling(policy: &RefreshPolicy, lease: &Lease, now: Moment, u: f64) -> Self {
        let life = lease.life();
        Self { lead: life.map(|_| Duration::ZERO), ..Self::after_wait(now, schedule::same_token_wait(policy, life, u)) }
    }

    /// Plans the retry after a failure that follows `earlier` other failures. The wait depends on
    /// their number and on the source's `Retry-After`.
    pub(super) fn after_failure(
        policy: &RefreshPolicy,
        held: &Held,
        failure: &Failure,
        earlier: u32,
        now: Moment,
        u: f64,
    ) -> Self {
        let requested = match failure.class {
            Class::Http404 => failure.retry_after.max(Some(policy.not_configured_interval)),
            _ => failure.retry_after,
        };
        let left = match held.current.as_deref().filter(|lease| lease.is_live(now)) {
            None => LeaseLeft::None,
            Some(lease) => lease.left(now).map_or(LeaseLeft::Endless, LeaseLeft::For),
        };
        let wait = match requested {
            Some(requested) => schedule::requested_wait(policy, requested, left, earlier, u),
            None => schedule::backoff(policy, earlier, u),
        };
        Self::after_wait(now, wait)
    }

    /// Makes the fetch due at `to`, if it isn't due earlier anyway.
    pub(super) fn bring_forward(&mut self, to: Boot) {
        self.at = Some(self.at.map_or(to, |at| at.min(to)));
    }

    /// Returns the instant at which the fetch is due, for the clocks as they are at `now`.
    pub(super) fn due(&self, current: Option<&Lease>, now: Moment) -> Boot {
        let left = current.and_then(|lease| lease.left(now));
        let by_end = self.lead.zip(left).map(|(lead, left)| {
            let until = left.saturating_sub(lead);
            now.boot.saturating_add(until).max(self.not_before)
        });
        // At least one of the two is always set. If neither were, a superfluous fetch would be
        // better than none ever.
        self.at.into_iter().chain(by_end).min().unwrap_or(now.boot)
    }

    fn after_wait(now: Moment, wait: Duration) -> Self {
        Self { at: Some(now.boot.saturating_add(wait)), ..Self::default() }
    }
}

/// Draws the lead of a lease. `None` if its expiry isn't known.
fn draw_lead(policy: &RefreshPolicy, lease: &Lease, u: f64) -> Option<Duration> {
    lease.life().map(|life| schedule::lead(policy, life, u))
}
