//! The numbers that control a refresh. Each of them can be configured.

use std::fmt;
use std::time::Duration;

/// Numbers that control the refresh of one credential. The fields have the names of the keys in the
/// configuration's `[refresh]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshPolicy {
    /// The longest time between two fetches, give or take `jitter`.
    pub interval: Duration,
    /// Largest deviation from `interval`. At most half of `interval` is used, so that a short
    /// interval can be combined with the default jitter.
    pub jitter: Duration,
    /// Longest lead. A refresh is due between `lead_max` and `lead_min` before the lease expires.
    pub lead_max: Duration,
    /// Shortest lead.
    pub lead_min: Duration,
    /// Largest part of a lease's life that the lead may take. A short life shortens both bounds of
    /// the lead in the same proportion.
    pub lead_fraction: f64,
    /// Shortest wait before the source is asked again, after it has repeated a token that is about
    /// to expire or is suspect.
    pub same_token_min: Duration,
    /// Longest such wait.
    pub same_token_max: Duration,
    /// Longest back-off after the first failure. It doubles with each further failure.
    pub retry_base: Duration,
    /// Longest back-off of all: the doubling ends here.
    pub retry_max: Duration,
    /// Pause after a source has answered that it isn't configured (404). Also the longest
    /// `Retry-After` that is kept to while no lease is live.
    pub not_configured_interval: Duration,
    /// Shortest time between two fetches that rejections cause. A refresh request by a user other
    /// than an operator causes no fetch either within this time after a success.
    pub forced_min_gap: Duration,
    /// Age up to which a rejection doesn't count against a token: some servers of its host may not
    /// know it yet.
    pub replication_lag: Duration,
    /// Time limit of one fetch, for the source and for the driver.
    pub attempt_timeout: Duration,
    /// Delay of the first fetch, in place of a draw from `boot_spread`.
    pub initial_delay: Option<Duration>,
    /// Longest delay of the first fetch after a start. The delay is drawn at random, so that
    /// containers that start together don't fetch together. A waiting caller doesn't wait for it.
    pub boot_spread: Duration,
}

/// Invalid value in a [`RefreshPolicy`]. [`RefreshPolicy::check`] returns one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Name of the field, which is also its key in the configuration.
    pub field: &'static str,
    /// The values that the field accepts.
    pub expected: &'static str,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        const fn secs(n: u64) -> Duration {
            Duration::from_secs(n)
        }
        Self {
            interval: secs(45 * 60),
            jitter: secs(2 * 60),
            lead_max: secs(4 * 60 + 45),
            lead_min: secs(2 * 60),
            lead_fraction: 0.25,
            same_token_min: secs(20),
            same_token_max: secs(40),
            retry_base: secs(1),
            retry_max: secs(60),
            not_configured_interval: secs(10 * 60),
            forced_min_gap: secs(30),
            replication_lag: secs(5),
            attempt_timeout: secs(7),
            initial_delay: None,
            boot_spread: secs(5),
        }
    }
}

impl RefreshPolicy {
    /// Returns `jitter`, or half of `interval` if that is less.
    #[must_use]
    pub fn usable_jitter(&self) -> Duration {
        self.jitter.min(self.interval / 2)
    }

    /// Returns an error for each invalid field. A policy without errors can be used.
    #[must_use]
    pub fn check(&self) -> Vec<PolicyError> {
        const TICK: Duration = Duration::from_millis(10);
        const SECOND: Duration = Duration::from_secs(1);
        const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
        const LONGEST_ATTEMPT: Duration = Duration::from_secs(7);

        let within = |from: Duration, value: Duration| value >= from && value <= YEAR;
        let rules = [
            (within(SECOND, self.interval), "interval", "from 1s to 1y"),
            (self.jitter <= YEAR, "jitter", "at most 1y"),
            (within(TICK, self.lead_max), "lead_max", "from 10ms to 1y"),
            (within(TICK, self.lead_min) && self.lead_min <= self.lead_max, "lead_min", "from 10ms to lead_max"),
            (
                self.lead_fraction > 0.0 && self.lead_fraction < 1.0,
                "lead_fraction",
                "a number between 0 and 1, both excluded",
            ),
            (
                within(TICK, self.same_token_min) && self.same_token_min <= self.same_token_max,
                "same_token_min",
                "from 10ms to same_token_max",
            ),
            (within(TICK, self.same_token_max), "same_token_max", "from 10ms to 1y"),
            (
                within(TICK, self.retry_base) && self.retry_base <= self.retry_max,
                "retry_base",
                "from 10ms to retry_max",
            ),
            (within(TICK, self.retry_max), "retry_max", "from 10ms to 1y"),
            (within(SECOND, self.not_configured_interval), "not_configured_interval", "from 1s to 1y"),
            (within(TICK, self.forced_min_gap), "forced_min_gap", "from 10ms to 1y"),
            (self.replication_lag <= YEAR, "replication_lag", "at most 1y"),
            (
                within(TICK, self.attempt_timeout) && self.attempt_timeout <= LONGEST_ATTEMPT,
                "attempt_timeout",
                "from 10ms to 7s: callers are answered within 8s",
            ),
            (self.initial_delay.is_none_or(|delay| delay <= YEAR), "initial_delay", "at most 1y"),
            (self.boot_spread <= YEAR, "boot_spread", "at most 1y"),
        ];
        rules
            .into_iter()
            .filter(|(holds, ..)| !holds)
            .map(|(_, field, expected)| PolicyError { field, expected })
            .collect()
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.field, self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(RefreshPolicy::default().check(), []);
    }

    #[test]
    fn every_impossible_value_is_named_in_one_run() {
        let policy = RefreshPolicy {
            interval: Duration::ZERO,
            lead_min: Duration::from_secs(600),
            lead_fraction: f64::NAN,
            same_token_min: Duration::from_secs(41),
            retry_base: Duration::ZERO,
            attempt_timeout: Duration::from_secs(8),
            ..RefreshPolicy::default()
        };
        let named: Vec<_> = policy.check().iter().map(|wrong| wrong.field).collect();
        let expected = ["interval", "lead_min", "lead_fraction", "same_token_min", "retry_base", "attempt_timeout"];
        assert_eq!(named, expected);
    }

    #[test]
    fn an_initial_delay_may_be_a_year_and_no_longer() {
        let after = |days: u64| RefreshPolicy {
            initial_delay: Some(Duration::from_secs(days * 86_400)),
            ..RefreshPolicy::default()
        };
        assert_eq!(after(366).check(), []);
        assert_eq!(after(367).check().first().unwrap().to_string(), "initial_delay: expected at most 1y");
    }

    #[test]
    fn a_lead_fraction_must_lie_between_zero_and_one() {
        for lead_fraction in [-0.1, 0.0, 1.0, 1.1, f64::INFINITY] {
            let named = RefreshPolicy { lead_fraction, ..RefreshPolicy::default() }.check();
            assert_eq!(named.iter().map(|wrong| wrong.field).collect::<Vec<_>>(), ["lead_fraction"], "{lead_fraction}");
        }
    }

    #[test]
    fn a_short_interval_is_valid_with_the_default_jitter() {
        let policy = RefreshPolicy { interval: Duration::from_secs(60), ..RefreshPolicy::default() };
        assert_eq!(policy.check(), []);
    }
}
