//! The broker's configuration, in proportion to the life of the tokens: an
//! interval that takes 45 minutes in production takes six seconds if tokens
//! live eight.

use std::fmt::Write as _;
use std::time::Duration;

/// Defaults of the reference configuration, for tokens that live an hour.
const REFRESH: [(&str, Duration); 8] = [
    ("interval", Duration::from_secs(45 * 60)),
    ("jitter", Duration::from_secs(2 * 60)),
    ("lead_max", Duration::from_secs(4 * 60 + 45)),
    ("lead_min", Duration::from_secs(2 * 60)),
    ("same_token_min", Duration::from_secs(20)),
    ("same_token_max", Duration::from_secs(40)),
    ("forced_min_gap", Duration::from_secs(30)),
    ("replication_lag", Duration::from_secs(5)),
];

/// Returns the `[refresh]` table. The retry times have a lower bound: below it,
/// a test would measure the scheduler of a busy machine instead of the
/// back-off.
pub fn refresh_table(life: Duration) -> String {
    let mut table = String::from("[refresh]\n");
    for (key, value) in REFRESH {
        line(&mut table, key, scaled(value, life));
    }
    let at_least = |floor, value| scaled(value, life).max(Duration::from_millis(floor));
    line(&mut table, "retry_base", at_least(100, Duration::from_secs(1)));
    line(&mut table, "retry_max", at_least(1000, Duration::from_secs(60)));
    line(&mut table, "not_configured_interval", at_least(1000, Duration::from_secs(600)));
    table
}

/// Scales `value` from a token life of an hour to this life.
pub fn scaled(value: Duration, life: Duration) -> Duration {
    value.mul_f64(life.as_secs_f64() / 3600.0).max(Duration::from_millis(1))
}

fn line(table: &mut String, key: &str, value: Duration) {
    let _ = writeln!(table, "{key} = \"{}ms\"", value.as_millis().max(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_eight_seconds_are_refreshed_after_six() {
        let table = refresh_table(Duration::from_secs(8));
        assert!(table.contains("interval = \"6000ms\""), "{table}");
        assert!(table.contains("jitter = \"266ms\""), "{table}");
        assert!(table.contains("retry_base = \"100ms\""), "{table}");
    }
}
