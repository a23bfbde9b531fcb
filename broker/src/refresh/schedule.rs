//! Random waits. Each function maps the numbers of the policy and a jitter `u` in [0, 1) to a
//! length of time.
//!
//! One jitter is drawn per schedule. Where a schedule needs several independent numbers,
//! [`nth_jitter`] derives them from it.

use std::time::Duration;

use crate::refresh::RefreshPolicy;

/// Longest wait of all schedules. It is far beyond every configured number, and short enough that
/// no sum of instants overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Remaining life of the lease that is served while the source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseLeft {
    /// No lease is live.
    None,
    /// The lease has no known expiry.
    Endless,
    /// The lease expires after this time.
    For(Duration),
}

/// Draws the ceiling: `interval` give or take `jitter`.
#[must_use]
pub fn ceiling(policy: &RefreshPolicy, u: f64) -> Duration {
    let jitter = policy.usable_jitter();
    between(policy.interval - jitter, policy.interval + jitter, u)
}

/// Draws the lead: how long before its expiry a lease is renewed. `life` is the time that the lease
/// had left when it was received.
#[must_use]
pub fn lead(policy: &RefreshPolicy, life: Duration, u: f64) -> Duration {
    let longest = longest_lead(policy, life);
    between(longest, scale_to_life(policy, policy.lead_min, life), u)
}

/// Returns the longest lead that can be drawn for this `life`. A lease with no more than this left
/// is inside its lead.
#[must_use]
pub fn longest_lead(policy: &RefreshPolicy, life: Duration) -> Duration {
    scale_to_life(policy, policy.lead_max, life)
}

/// Draws the wait before the source is asked again, after it has repeated a token that is about to
/// expire or is suspect. The wait is shortened for a short `life`, as the lead is. `None` means
/// that the token has no known expiry; then nothing is shortened.
#[must_use]
pub fn same_token_wait(policy: &RefreshPolicy, life: Option<Duration>, u: f64) -> Duration {
    let wait = between(policy.same_token_min, policy.same_token_max, u);
    life.map_or(wait, |life| scale_to_life(policy, wait, life)).max(shortest_wait(policy))
}

/// Draws the back-off, with full jitter, after a failure that follows `earlier` other failures. Its
/// lower bound keeps a series of small draws from becoming a hot loop.
#[must_use]
pub fn backoff(policy: &RefreshPolicy, earlier: u32, u: f64) -> Duration {
    let span = policy.retry_base.saturating_mul(1 << earlier.min(20)).min(policy.retry_max);
    between(Duration::ZERO, span, u).max(shortest_wait(policy))
}

/// Returns the wait after a failure whose source asked to be left alone for `requested`
/// (`Retry-After`).
///
/// A back-off is added, so that containers that got the same answer don't come back together. The
/// wait is at most half of the lease's remaining life, so that a newer token can still be had in
/// time. It is never shorter than the back-off: half, and half again, of an expiring lease would
/// become a hot loop.
///
/// While no lease is live, callers get nothing during the wait, and a source that asks for 10⁹ s
/// would never be asked again. So the wait is at most `not_configured_interval`, the slowest pace
/// at which any source is asked, plus the back-off.
#[must_use]
pub fn requested_wait(policy: &RefreshPolicy, requested: Duration, lease: LeaseLeft, earlier: u32, u: f64) -> Duration {
    let backoff = backoff(policy, earlier, u);
    let longest = match lease {
        LeaseLeft::For(left) => left / 2,
        LeaseLeft::Endless => LONGEST_WAIT,
        LeaseLeft::None => policy.not_configured_interval + backoff,
    };
    requested.saturating_add(backoff).min(longest).max(backoff)
}

/// Draws a first interval, from zero up to the `usual` one, so that containers that started
/// together don't stay in step.
#[must_use]
pub fn first_interval(usual: Duration, u: f64) -> Duration {
    between(Duration::ZERO, usual, u)
}

/// Derives the `n`th number in [0, 1) from one jitter. The 0th is the jitter itself. For the others
/// its bits are mixed by the finaliser of SplitMix64, so that the numbers are uncorrelated.
#[must_use]
pub fn nth_jitter(u: f64, n: u8) -> f64 {
    if n == 0 {
        return u;
    }
    let mut bits = u.to_bits().wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // 32 bits are precise enough, and exact in an f64.
    f64::from((bits >> 32) as u32) / 4_294_967_296.0
}

/// Shortens `length` for a short life: in the proportion in which `lead_fraction` of that life is
/// less than `lead_max`.
fn scale_to_life(policy: &RefreshPolicy, length: Duration, life: Duration) -> Duration {
    let allowed = life.mul_f64(policy.lead_fraction);
    if allowed >= policy.lead_max { length } else { length.mul_f64(allowed.div_duration_f64(policy.lead_max)) }
}

/// Returns the length at part `u` of the way between the two, in either direction.
fn between(from: Duration, to: Duration, u: f64) -> Duration {
    if from <= to { from + (to - from).mul_f64(u) } else { from - (from - to).mul_f64(u) }
}

/// Returns the shortest wait between two attempts.
fn shortest_wait(policy: &RefreshPolicy) -> Duration {
    policy.retry_base / 10
}
