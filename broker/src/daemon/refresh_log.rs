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

/// The least time between two lines about the same trouble.
const QUIET: Duration = Duration::from_secs(600);

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
    /// It failed, and so many times before it went without a line.
    Failed {
        unlogged: u64,
    },
    Recovered,
    Nothing,
}

impl RefreshLog {
    /// Told of everything that came of an event.
    pub fn note(&self, credential: &str, outcome: RefreshOutcome, held: &Held, now: Moment) {
        let line = self.line(credential, outcome, now.boot);
        match outcome {
            RefreshOutcome::Refreshed { generation } => {
                let left = held.current.as_deref().and_then(|lease| lease.left(now));
                let expires_in = left.map_or_else(|| "never".into(), |left| answer::whole_seconds(left).to_string());
                tracing::info!(credential, generation, expires_in, "refreshed");
            }
            RefreshOutcome::SameToken if line == LogLine::Recovered => {
                tracing::info!(credential, "the source answers again, with the token in hand");
            }
            RefreshOutcome::SameToken => tracing::debug!(credential, "the source repeated its token"),
            RefreshOutcome::ExpiresSooner => {
                tracing::info!(credential, "a token that dies sooner than the one in hand was put aside");
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

    fn line(&self, credential: &str, outcome: RefreshOutcome, now: Boot) -> LogLine {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            RefreshOutcome::Failed(class) => {
                let new = || LoggedFailure { class, lines: LogLimiter::default() };
                let trouble = troubles.entry(credential.to_owned()).or_insert_with(new);
                let due = match trouble.class == class {
                    true => trouble.lines.due(now, QUIET),
                    false => Some(trouble.lines.begin(now)),
                };
                trouble.class = class;
                due.map_or(LogLine::Nothing, |unlogged| LogLine::Failed { unlogged })
            }
            RefreshOutcome::Refreshed { .. } | RefreshOutcome::SameToken | RefreshOutcome::ExpiresSooner => {
                match troubles.remove(credential) {
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
        let journal = RefreshLog::default();
        let at = Duration::from_secs;
        let failed = |credential, class, seconds| journal.line(credential, RefreshOutcome::Failed(class), at(seconds));
        assert_eq!(failed("github", Class::Http5xx, 1), LogLine::Failed { unlogged: 0 });
        for second in 2..601 {
            assert_eq!(failed("github", Class::Http5xx, second), LogLine::Nothing);
        }
        assert_eq!(failed("github", Class::Http5xx, 601), LogLine::Failed { unlogged: 599 });
        assert_eq!(failed("github", Class::Connect, 602), LogLine::Failed { unlogged: 0 }, "another class of failure");
        assert_eq!(failed("other", Class::Connect, 602), LogLine::Failed { unlogged: 0 }, "another credential");
        assert_eq!(journal.line("github", RefreshOutcome::SameToken, at(603)), LogLine::Recovered);
        assert_eq!(journal.line("github", RefreshOutcome::SameToken, at(604)), LogLine::Nothing);
        assert_eq!(failed("github", Class::Connect, 605), LogLine::Failed { unlogged: 0 });
    }
}
