//! The only place that reads a clock or draws a random number. `clippy.toml` forbids both
//! everywhere else, so that code which depends on time takes a [`Moment`] and can be tested at any
//! instant.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

use crate::system::async_fd::watched;
use crate::system::time::{Boot, Moment};

/// Returns the current instant on both clocks.
#[must_use]
pub fn now() -> Moment {
    Moment { boot: read_clock(ClockId::CLOCK_BOOTTIME), wall: read_clock(ClockId::CLOCK_REALTIME) }
}

/// Returns how long the machine has been awake. This clock stops while the machine is suspended, so
/// it shows whether another process has had time to act.
#[must_use]
pub fn awake() -> Duration {
    read_clock(ClockId::CLOCK_MONOTONIC)
}

/// Returns by how many nanoseconds this process's boot clock is ahead of the boot clock of the
/// initial time namespace (time_namespaces(7)). 0 if the kernel has no time namespaces.
#[must_use]
pub fn boot_offset() -> i128 {
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"));
    let mut numbers = line.unwrap_or_default().split_ascii_whitespace().map(str::parse::<i128>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(seconds)), Some(Ok(nanos))) => seconds * 1_000_000_000 + nanos,
        _ => 0,
    }
}

/// Draws a number in [0, 1). Containers that draw at the same time get different numbers.
#[must_use]
pub fn jitter() -> f64 {
    // Early in boot there may be no entropy. The low bits of the clock are the next best source,
    // and keep the containers from running in step.
    let bits = random().unwrap_or_else(|_| u64::from(now().wall.subsec_nanos()) << 34);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Draws bits that no other process can guess.
///
/// # Errors
/// Returns an error if the kernel gives none.
pub fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

fn read_clock(clock: ClockId) -> Duration {
    // These clocks exist since Linux 2.6.39, and a read with a valid buffer can't fail. A wall
    // clock before 1970 reads as 1970, which makes every expiry seem far away.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// Alarm that rings at an instant of the boot-time clock, and whenever the wall clock is set.
///
/// The kernel does the waiting. So the alarm rings on resume if the machine was suspended past the
/// instant, and no process has to wake up to look at a clock (timerfd_create(2): `CLOCK_BOOTTIME`,
/// `TFD_TIMER_CANCEL_ON_SET`).
pub struct Alarm {
    instant: AsyncFd<Timer>,
    wall_set: AsyncFd<Timer>,
}

struct Timer(TimerFd);

impl Alarm {
    /// Creates an alarm that isn't set to an instant. To be called inside the runtime.
    ///
    /// # Errors
    /// Returns an error if the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let timer = |clock| -> io::Result<AsyncFd<Timer>> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            watched(Timer(TimerFd::new(clock, flags)?))
        };
        let alarm = Self {
            instant: timer(timerfd::ClockId::CLOCK_BOOTTIME)?,
            wall_set: timer(timerfd::ClockId::CLOCK_REALTIME)?,
        };
        alarm.watch_wall_clock()?;
        Ok(alarm)
    }

    /// Makes the alarm ring at this instant, or at once if it has passed. `None` removes the
    /// instant.
    ///
    /// # Errors
    /// No error is possible with a valid timer.
    pub fn set(&self, at: Option<Boot>) -> io::Result<()> {
        let timer = &self.instant.get_ref().0;
        match at {
            None => timer.unset()?,
            // A zero instant would disarm the timer.
            Some(at) => timer.set(one_shot(at.max(Duration::from_nanos(1))), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?,
        }
        Ok(())
    }

    /// Waits until the alarm rings.
    ///
    /// # Errors
    /// No error is possible with a valid timer.
    pub async fn ring(&self) -> io::Result<()> {
        tokio::select! {
            rang = wait_for_timer(&self.instant) => rang,
            set = wait_for_timer(&self.wall_set) => set.and_then(|()| self.watch_wall_clock()),
        }
    }

    fn watch_wall_clock(&self) -> io::Result<()> {
        let far = now().wall + Duration::from_secs(10 * 365 * 24 * 60 * 60);
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Ok(self.wall_set.get_ref().0.set(one_shot(far), flags)?)
    }
}

fn one_shot(at: Duration) -> Expiration {
    Expiration::OneShot(at.into())
}

async fn wait_for_timer(timer: &AsyncFd<Timer>) -> io::Result<()> {
    loop {
        let mut ready = timer.readable().await?;
        match timer.get_ref().0.wait() {
            Err(Errno::EAGAIN) => ready.clear_ready(),
            done => return Ok(done?),
        }
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_rings_at_its_instant_and_not_before() {
        let alarm = Alarm::new().unwrap();
        let at = now().boot + Duration::from_millis(30);
        alarm.set(Some(at)).unwrap();
        alarm.ring().await.unwrap();
        assert!(now().boot >= at);
    }

    #[tokio::test]
    async fn an_instant_that_has_passed_rings_at_once() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Some(Duration::ZERO)).unwrap();
        alarm.ring().await.unwrap();
    }

    #[test]
    fn jitter_stays_in_its_range_and_varies() {
        let draws: Vec<f64> = (0..100).map(|_| jitter()).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        assert!(draws.iter().any(|u| *u < 0.5) && draws.iter().any(|u| *u >= 0.5));
    }
}
