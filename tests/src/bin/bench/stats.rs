//! Medians, percentiles, and the limits for the figures.

use std::time::Duration;

/// Sorts the values and returns the one at this share (of 1).
pub(crate) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the median of the ratios of values that were measured in pairs.
pub(crate) fn paired(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}

pub(crate) fn micros(value: Duration) -> f64 {
    value.as_secs_f64() * 1e6
}

pub(crate) fn at_most(what: &str, value: f64, limit: f64) {
    verdict(what, value, "at most", limit, value <= limit);
}

pub(crate) fn at_least(what: &str, value: f64, limit: f64) {
    verdict(what, value, "at least", limit, value >= limit);
}

fn verdict(what: &str, value: f64, bound: &str, limit: f64, holds: bool) {
    let word = if holds { "ok" } else { "MISSED" };
    println!("  {what:<58} {value:>6.2}   ({bound} {limit}: {word})");
}
