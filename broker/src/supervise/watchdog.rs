//! Whether the daemon still gives signs of life. Pure.
//!
//! A container that is paused, or a machine that is suspended, for longer than
//! the period: then nobody had a chance to act, the watchdog itself included.
//! It notices by its own lateness, and begins the period anew.

use std::time::Duration;

/// How long the daemon may be silent. It gives a sign every 31.2 s.
pub const PERIOD: Duration = Duration::from_secs(52);

/// What a silent daemon gets on top: it may have been about to speak, just
/// after a pause that ended within the period.
const GRACE: Duration = Duration::from_secs(5);

/// Being woken later than this, one hasn't just been waiting for a processor.
const LATE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    deadline: Duration,
    in_grace: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogVerdict {
    Wait,
    Dead,
}

impl Watchdog {
    /// `now` is a clock that stands still while the machine is suspended.
    pub fn start(now: Duration) -> Self {
        Self { deadline: now + PERIOD, in_grace: false }
    }

    pub fn sign(&mut self, now: Duration) {
        *self = Self::start(now);
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// To be asked at the deadline, after whatever has come was read.
    pub fn judge(&mut self, now: Duration) -> WatchdogVerdict {
        if now < self.deadline {
            return WatchdogVerdict::Wait;
        }
        if now - self.deadline > LATE {
            *self = Self::start(now);
            return WatchdogVerdict::Wait;
        }
        if !self.in_grace {
            *self = Self { deadline: now + GRACE, in_grace: true };
            return WatchdogVerdict::Wait;
        }
        WatchdogVerdict::Dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_daemon_is_dead_within_a_minute() {
        let mut watchdog = Watchdog::start(Duration::ZERO);
        assert_eq!(watchdog.judge(watchdog.deadline()), WatchdogVerdict::Wait);
        let end = watchdog.deadline();
        assert!(end < 60 * S);
        assert_eq!(watchdog.judge(end), WatchdogVerdict::Dead);
    }

    #[test]
    fn a_sign_in_the_grace_begins_a_whole_period() {
        let mut watchdog = Watchdog::start(Duration::ZERO);
        assert_eq!(watchdog.judge(PERIOD), WatchdogVerdict::Wait);
        watchdog.sign(PERIOD + S);
        assert_eq!(watchdog.deadline(), PERIOD + S + PERIOD);
    }

    #[test]
    fn a_pause_longer_than_the_period_kills_nobody() {
        for paused in [2, 60, 3600, 100_000] {
            let mut watchdog = Watchdog::start(Duration::ZERO);
            let resumed = PERIOD + paused * S;
            assert_eq!(watchdog.judge(resumed), WatchdogVerdict::Wait);
            assert_eq!(watchdog.deadline(), resumed + PERIOD);
        }
    }
}
