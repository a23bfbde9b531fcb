//! Log lines of refreshes: each success, each new failure and each recovery. A failure that
//! lasts is repeated only now and then, so that neither an outage nor a caller can fill the
//! log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::credential::lease::Class;
use crate::daemon::answer;
use crate::refresh::{Held, RefreshOutcome};
use crate::system::log_limit::LogLimiter;
use crate::system::time::{Boot, Moment};

/// Minimum interval between two lines about the same failure.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// The ongoing failure of each credential, by name.
#[derive(Default)]
pub struct RefreshLog(Mutex<BTreeMap<String, LoggedFailure>>);

struct LoggedFailure {
    class: Class,
    lines: LogLimiter,
}

/// The line to log for an attempt.
#[derive(Debug, PartialEq, Eq)]
enum LogLine {
    /// It failed. `unlogged` failures before it got no line.
    Failed {
        unlogged: u64,
    },
    Recovered,
    Nothing,
}

impl RefreshLog {
    /// Logs the outcome of an event.
    pub fn log_outcome(&self, credential: &str, outcome: RefreshOutcome, held: &Held, now: Moment) {
        let line = self.choose_line(credential, outcome, now.boot);
        match outcome {
            RefreshOutcome::Refreshed { generation } => {
                let left = held.current.as_deref().and_then(|lease| lease.left(now));
                let expires_in = left.map_or_else(|| "never".into(), |left| answer::whole_seconds(left).to_string());
                tracing::info!(credential, generation, expires_in, "refreshed");
            }
            RefreshOutcome::SameToken if line == LogLine::Recovered => {
                tracing::info!(credential, "the source answers again, with the current token");
            }
            RefreshOutcome::SameToken => tracing::debug!(credential, "the source repeated its token"),
            RefreshOutcome::ExpiresSooner => {
                tracing::info!(credential, "a token that expires sooner than the current one was ignored");
            }
            RefreshOutcome::Failed(_) => {
                let failure = held.last_error.as_deref().map(|t| t.failure.to_string()).unwrap_or_default();
                let (failures, still_serving) = (held.consecutive_failures, held.live(now).is_some());
                match line {
                    LogLine::Failed { unlogged } => {
                        tracing::warn!(credential, failures, still_serving, unlogged, "refresh failed: {failure}");
                    }
                    _ => tracing::debug!(credential, failures, still_serving, "refresh failed again: {failure}"),
                }
            }
            RefreshOutcome::Rejected | RefreshOutcome::FallbackRejected => {
                tracing::warn!(credential, "a host rejected the token")
            }
            RefreshOutcome::TooFresh => tracing::info!(credential, "a host doesn't know the new token yet"),
            RefreshOutcome::Idle
            | RefreshOutcome::Asking
            | RefreshOutcome::Joined
            | RefreshOutcome::BackingOff
            | RefreshOutcome::NoSource
            | RefreshOutcome::RejectedAgain => {}
        }
    }

    fn choose_line(&self, credential: &str, outcome: RefreshOutcome, now: Boot) -> LogLine {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            RefreshOutcome::Failed(class) => {
                let new = || LoggedFailure { class, lines: LogLimiter::default() };
                let failure = failures.entry(credential.to_owned()).or_insert_with(new);
                let due = match failure.class == class {
                    true => failure.lines.due(now, REPEAT_INTERVAL),
                    false => Some(failure.lines.begin(now)),
                };
                failure.class = class;
                due.map_or(LogLine::Nothing, |unlogged| LogLine::Failed { unlogged })
            }
            RefreshOutcome::Refreshed { .. } | RefreshOutcome::SameToken | RefreshOutcome::ExpiresSooner => {
                match failures.remove(credential) {
                    Some(_) => LogLine::Recovered,
                    None => LogLine::Nothing,
                }
            }
            _ => LogLine::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_failure_is_logged_at_once_and_every_ten_minutes() {
        let log = RefreshLog::default();
        let at = Duration::from_secs;
        let failed =
            |credential, class, seconds| log.choose_line(credential, RefreshOutcome::Failed(class), at(seconds));
        assert_eq!(failed("github", Class::Http5xx, 1), LogLine::Failed { unlogged: 0 });
        for second in 2..601 {
            assert_eq!(failed("github", Class::Http5xx, second), LogLine::Nothing);
        }
        assert_eq!(failed("github", Class::Http5xx, 601), LogLine::Failed { unlogged: 599 });
        assert_eq!(failed("github", Class::Connect, 602), LogLine::Failed { unlogged: 0 }, "another class of failure");
        assert_eq!(failed("other", Class::Connect, 602), LogLine::Failed { unlogged: 0 }, "another credential");
        assert_eq!(log.choose_line("github", RefreshOutcome::SameToken, at(603)), LogLine::Recovered);
        assert_eq!(log.choose_line("github", RefreshOutcome::SameToken, at(604)), LogLine::Nothing);
        assert_eq!(failed("github", Class::Connect, 605), LogLine::Failed { unlogged: 0 });
    }
}
