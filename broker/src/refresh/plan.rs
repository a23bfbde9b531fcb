//! When the next fetch falls due, after each way in which things can stand.

use std::time::Duration;

use super::schedule::{self, LeaseLeft};
use super::{Held, RefreshPolicy};
use crate::credential::lease::{Class, Failure, Lease, SourceKind};
use crate::system::time::{Boot, Moment};

/// Due at `at`, or `lead` before the end of the current lease if that is
/// sooner. The second half is kept as a length and not as an instant, because
/// a stepped wall moves the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RefreshPlan {
    at: Option<Boot>,
    lead: Option<Duration>,
    /// No end of a lease brings it forward of this.
    not_before: Boot,
}

impl RefreshPlan {
    pub(super) fn at_start(policy: &RefreshPolicy, held: &Held, now: Moment, u: f64) -> Self {
        let Some(lease) = held.current.as_deref() else {
            let spread = schedule::first_interval(policy.boot_spread, u);
            return Self::wait(now, policy.initial_delay.unwrap_or(spread));
        };
        // What a file holds may have changed while nobody watched it.
        if lease.source == SourceKind::File {
            return Self::wait(now, Duration::ZERO);
        }
        // As if it had never stopped: one that restarts in a loop must not ask
        // each time.
        let interval = match held.suspect() {
            true => schedule::same_token(policy, lease.life(), u),
            false => schedule::ceiling(policy, u),
        };
        let overdue = schedule::first_interval(policy.boot_spread, schedule::nth(u, 2));
        let at = lease.received.boot.saturating_add(interval);
        let at = at.max(now.boot.saturating_add(overdue));
        Self { at: Some(at), lead: lead(policy, lease, schedule::nth(u, 1)), ..Self::default() }
    }

    /// After a new token. `first`: nothing was held before, or the source has
    /// just come back. However short a token lives, its source isn't asked
    /// faster than it is by retries.
    pub(super) fn renewed(policy: &RefreshPolicy, lease: &Lease, first: bool, now: Moment, u: f64) -> Self {
        let ceiling = schedule::ceiling(policy, u);
        let lead = lead(policy, lease, schedule::nth(u, 1));
        let by_end = lead.zip(lease.left(now));
        let otherwise = by_end.map_or(ceiling, |(lead, left)| left.saturating_sub(lead).min(ceiling));
        let interval = match first {
            true => schedule::first_interval(otherwise, schedule::nth(u, 2)),
            false => ceiling,
        };
        let not_before = now.boot + policy.retry_base;
        Self { at: Some(now.boot.saturating_add(interval).max(not_before)), lead, not_before }
    }

    /// After an answer that brought nothing newer than the `lease` in hand. The
    /// platform repeats a token until shortly before it dies, so only that says
    /// when it is worth asking; another source may change its mind at any time.
    pub(super) fn repeated(policy: &RefreshPolicy, lease: &Lease, now: Moment, u: f64) -> Self {
        let life = lease.life();
        let longest = life.map(|life| schedule::longest_lead(policy, life));
        match (longest, lease.left(now)) {
            (Some(longest), Some(left)) if left > longest => {
                let at = (lease.source != SourceKind::Platform).then(|| now.boot + schedule::ceiling(policy, u));
                let lead = lead(policy, lease, schedule::nth(u, 1));
                // The lead may be as long as what is left.
                Self { at, lead, not_before: now.boot + policy.retry_base }
            }
            (Some(_), Some(_)) => Self::urgent(policy, lease, now, u),
            _ => Self::wait(now, schedule::ceiling(policy, u)),
        }
    }

    /// The lease is about to die, or suspect, and its source has no other yet.
    pub(super) fn urgent(policy: &RefreshPolicy, lease: &Lease, now: Moment, u: f64) -> Self {
        let life = lease.life();
        Self { lead: life.map(|_| Duration::ZERO), ..Self::wait(now, schedule::same_token(policy, life, u)) }
    }

    /// After a failure that had `before` others before it.
    pub(super) fn failed(
        policy: &RefreshPolicy,
        held: &Held,
        failure: &Failure,
        before: u32,
        now: Moment,
        u: f64,
    ) -> Self {
        let wished = match failure.class {
            Class::Http404 => failure.retry_after.max(Some(policy.not_configured_interval)),
            _ => failure.retry_after,
        };
        let left = match held.current.as_deref().filter(|lease| lease.is_live(now)) {
            None => LeaseLeft::None,
            Some(lease) => lease.left(now).map_or(LeaseLeft::Endless, LeaseLeft::For),
        };
        let wait = match wished {
            Some(wished) => schedule::requested_wait(policy, wished, left, before, u),
            None => schedule::backoff(policy, before, u),
        };
        Self::wait(now, wait)
    }

    pub(super) fn bring_forward(&mut self, to: Boot) {
        self.at = Some(self.at.map_or(to, |at| at.min(to)));
    }

    /// The instant, as the time stands now.
    pub(super) fn due(&self, current: Option<&Lease>, now: Moment) -> Boot {
        let left = current.and_then(|lease| lease.left(now));
        let by_end = self.lead.zip(left).map(|(lead, left)| {
            let until = left.saturating_sub(lead);
            now.boot.saturating_add(until).max(self.not_before)
        });
        // One of the two is always there; if not, better one fetch too many
        // than none ever.
        self.at.into_iter().chain(by_end).min().unwrap_or(now.boot)
    }

    fn wait(now: Moment, wait: Duration) -> Self {
        Self { at: Some(now.boot.saturating_add(wait)), ..Self::default() }
    }
}

fn lead(policy: &RefreshPolicy, lease: &Lease, u: f64) -> Option<Duration> {
    lease.life().map(|life| schedule::lead(policy, life, u))
}
