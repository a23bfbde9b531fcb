//! The only place that reads a clock or draws a random number. `clippy.toml`
//! forbids it everywhere else, so that what depends on time takes a [`Moment`]
//! and can be tested at any instant.

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

/// The present on both clocks.
#[must_use]
pub fn now() -> Moment {
    Moment { boot: read(ClockId::CLOCK_BOOTTIME), wall: read(ClockId::CLOCK_REALTIME) }
}

/// How long the machine has been awake: a clock that stops while it is
/// suspended, for judging whether somebody else had time to act.
#[must_use]
pub fn awake() -> Duration {
    read(ClockId::CLOCK_MONOTONIC)
}

/// By how many nanoseconds this process's boot clock is ahead of the initial
/// time namespace's (time_namespaces(7)); 0 where there are no such
/// namespaces.
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

/// A number in [0, 1) that no two containers share.
#[must_use]
pub fn jitter() -> f64 {
    // Without entropy all would keep step: early in boot the low bits of the
    // clock are the next best thing.
    let bits = random().unwrap_or_else(|_| u64::from(now().wall.subsec_nanos()) << 34);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Bits that nobody else can guess.
///
/// # Errors
/// The kernel gives none.
pub fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

fn read(clock: ClockId) -> Duration {
    // Both clocks exist since Linux 2.6.39 and can't fail with a valid buffer;
    // a wall clock before 1970 reads as 1970, which makes every expiry far.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// Rings at an instant of the boot-time clock, and whenever somebody sets the
/// wall clock. It sleeps in the kernel: a machine that was suspended past the
/// instant rings on resume, and nothing wakes up to look (timerfd_create(2):
/// `CLOCK_BOOTTIME`, `TFD_TIMER_CANCEL_ON_SET`).
pub struct Alarm {
    instant: AsyncFd<Timer>,
    wall_set: AsyncFd<Timer>,
}

struct Timer(TimerFd);

impl Alarm {
    /// # Errors
    /// Out of descriptors, or called outside the runtime.
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

    /// Rings at this instant, at once if it has passed; never for `None`.
    ///
    /// # Errors
    /// None that a valid timer can meet.
    pub fn set(&self, at: Option<Boot>) -> io::Result<()> {
        let timer = &self.instant.get_ref().0;
        match at {
            None => timer.unset()?,
            // A zero instant would disarm the timer.
            Some(at) => timer.set(one_shot(at.max(Duration::from_nanos(1))), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?,
        }
        Ok(())
    }

    /// Waits until it rings.
    ///
    /// # Errors
    /// None that a valid timer can meet.
    pub async fn ring(&self) -> io::Result<()> {
        tokio::select! {
            rang = take(&self.instant) => rang,
            set = take(&self.wall_set) => set.and_then(|()| self.watch_wall_clock()),
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

async fn take(timer: &AsyncFd<Timer>) -> io::Result<()> {
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
