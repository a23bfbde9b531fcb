//! Watchdog that detects a daemon without signs of life. Pure: no IO, no clock.
//!
//! While a container is paused or a machine is suspended, neither the daemon nor the watchdog can
//! run. If that lasts longer than the period, the watchdog notices that it was woken late and
//! begins a new period.

use std::time::Duration;

/// The longest silence that is allowed. The daemon pings every 31.2 s.
pub const PERIOD: Duration = Duration::from_secs(52);

/// Extra time for a silent daemon. A pause that ended within the period may have kept the daemon
/// from a ping that it was about to send.
const GRACE: Duration = Duration::from_secs(5);

/// A wake-up later than this means a suspension, not a busy CPU.
const MAX_LATENESS: Duration = Duration::from_secs(1);

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
    /// Begins a period. `now` is from a clock that doesn't advance while the machine is suspended.
    pub fn start(now: Duration) -> Self {
        Self { deadline: now + PERIOD, in_grace: false }
    }

    /// Begins a new period after a sign of life.
    pub fn reset(&mut self, now: Duration) {
        *self = Self::start(now);
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Decides at the deadline whether the daemon is dead. To be called after all messages that
    /// have arrived were read.
    pub fn check(&mut self, now: Duration) -> WatchdogVerdict {
        if now < self.deadline {
            return WatchdogVerdict::Wait;
        }
        if now - self.deadline > MAX_LATENESS {
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
        assert_eq!(watchdog.check(watchdog.deadline()), WatchdogVerdict::Wait);
        let end = watchdog.deadline();
        assert!(end < 60 * S);
        assert_eq!(watchdog.check(end), WatchdogVerdict::Dead);
    }

    #[test]
    fn a_sign_in_the_grace_begins_a_whole_period() {
        let mut watchdog = Watchdog::start(Duration::ZERO);
        assert_eq!(watchdog.check(PERIOD), WatchdogVerdict::Wait);
        watchdog.reset(PERIOD + S);
        assert_eq!(watchdog.deadline(), PERIOD + S + PERIOD);
    }

    #[test]
    fn a_pause_longer_than_the_period_kills_no_daemon() {
        for paused in [2, 60, 3600, 100_000] {
            let mut watchdog = Watchdog::start(Duration::ZERO);
            let resumed = PERIOD + paused * S;
            assert_eq!(watchdog.check(resumed), WatchdogVerdict::Wait);
            assert_eq!(watchdog.deadline(), resumed + PERIOD);
        }
    }
}
