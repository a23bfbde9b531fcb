//! The draws: from numbers and one jitter in [0, 1) to a length of time.
//!
//! One jitter is drawn per schedule. Where a schedule needs several numbers
//! that don't depend on each other, [`nth`] makes them out of it.

use std::time::Duration;

use crate::refresh::RefreshPolicy;

/// The most that any schedule waits: far beyond every configured number, and
/// near enough that no sum of instants overflows.
const FOREVER: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// What is left of the lease that is served while the source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseLeft {
    /// No lease is live.
    None,
    /// It has no known end.
    Endless,
    For(Duration),
}

/// `interval` give or take `jitter`: the ceiling.
#[must_use]
pub fn ceiling(policy: &RefreshPolicy, u: f64) -> Duration {
    let jitter = policy.usable_jitter();
    between(policy.interval - jitter, policy.interval + jitter, u)
}

/// How long before its end a lease is renewed that came with `life` left.
#[must_use]
pub fn lead(policy: &RefreshPolicy, life: Duration, u: f64) -> Duration {
    let longest = longest_lead(policy, life);
    between(longest, scaled(policy, policy.lead_min, life), u)
}

/// With no more than this left, a lease is inside its lead.
#[must_use]
pub fn longest_lead(policy: &RefreshPolicy, life: Duration) -> Duration {
    scaled(policy, policy.lead_max, life)
}

/// How soon to ask again for a token that the source only repeats. Without a
/// known end there is nothing to scale by.
#[must_use]
pub fn same_token(policy: &RefreshPolicy, life: Option<Duration>, u: f64) -> Duration {
    let wait = between(policy.same_token_min, policy.same_token_max, u);
    life.map_or(wait, |life| scaled(policy, wait, life)).max(floor(policy))
}

/// Back-off with full jitter after the failure that had `before` others before
/// it. The floor is what keeps a run of small draws from being a hot loop.
#[must_use]
pub fn backoff(policy: &RefreshPolicy, before: u32, u: f64) -> Duration {
    let span = policy.retry_base.saturating_mul(1 << before.min(20)).min(policy.retry_max);
    between(Duration::ZERO, span, u).max(floor(policy))
}

/// The wait when the source asked for one: that long and a back-off's draw on
/// top, so that those who were told the same don't come back together, but no
/// more than half of what the live lease has `left`. It is never shorter than
/// the back-off, or a dying lease would turn its halves into a hot loop.
///
/// Without a live lease nobody is served meanwhile, and a source that says
/// 10⁹ s would mean never: the slowest pace at which anything is asked holds.
#[must_use]
pub fn requested_wait(policy: &RefreshPolicy, wait: Duration, lease: LeaseLeft, before: u32, u: f64) -> Duration {
    let backoff = backoff(policy, before, u);
    let most = match lease {
        LeaseLeft::For(left) => left / 2,
        LeaseLeft::Endless => FOREVER,
        LeaseLeft::None => policy.not_configured_interval + backoff,
    };
    wait.saturating_add(backoff).min(most).max(backoff)
}

/// Part `u` of what would otherwise hold: a first interval.
#[must_use]
pub fn first_interval(otherwise: Duration, u: f64) -> Duration {
    between(Duration::ZERO, otherwise, u)
}

/// The `n`th number out of one jitter; the 0th is the jitter itself. The
/// others are its bits, well stirred (the finaliser of SplitMix64).
#[must_use]
pub fn nth(u: f64, n: u8) -> f64 {
    if n == 0 {
        return u;
    }
    let mut bits = u.to_bits().wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // 32 bits are plenty, and exact in an f64.
    f64::from((bits >> 32) as u32) / 4_294_967_296.0
}

/// A length that is meant for a lead of `lead_max`, cut as the lead is where
/// `lead_fraction` of a short life cuts that.
fn scaled(policy: &RefreshPolicy, length: Duration, life: Duration) -> Duration {
    let cut = life.mul_f64(policy.lead_fraction);
    if cut >= policy.lead_max { length } else { length.mul_f64(cut.div_duration_f64(policy.lead_max)) }
}

fn between(from: Duration, to: Duration, u: f64) -> Duration {
    if from <= to { from + (to - from).mul_f64(u) } else { from - (from - to).mul_f64(u) }
}

fn floor(policy: &RefreshPolicy) -> Duration {
    policy.retry_base / 10
}
