//! What goes wrong on purpose, and when.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use molecule_tests::platform::{Mode, RetryAfter};
use molecule_tests::programs::Git;
use molecule_tests::traffic::reject_newest;
use nix::sys::signal::{Signal, kill};

use crate::calendar::Calendar;
use crate::city::City;
use crate::dice::Dice;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: usize,
    pub(crate) stops: usize,
    pub(crate) faults: usize,
    pub(crate) bearers: usize,
    pub(crate) erases: usize,
    pub(crate) reloads: usize,
}

/// The supervisor's longest pause before it starts a daemon that was killed
/// again and again.
const RESTART: Duration = Duration::from_secs(1);

pub(crate) struct Trouble<'a> {
    pub(crate) city: &'a City,
    pub(crate) git: &'a Git,
    pub(crate) calendar: &'a Calendar,
    pub(crate) dice: Dice,
    pub(crate) counts: Counts,
    /// Until when the platform's present fault lasts.
    pub(crate) fault_until: Option<Instant>,
}

impl Trouble<'_> {
    /// One thing more, and the pause after it.
    pub(crate) fn step(&mut self) -> Option<String> {
        if self.fault_until.is_some_and(|until| Instant::now() >= until) {
            self.mend();
        }
        let what = match self.dice.below(12) {
            0..3 => self.kill(),
            3 => self.stop_for_a_while(),
            4 | 5 if self.fault_until.is_none() => self.break_the_platform(),
            7 => self.rotate_the_bearer(),
            8 => self.reject_the_token(),
            9 => self.reload(),
            _ => None,
        };
        thread::sleep(self.dice.millis(100, 900));
        what
    }

    pub(crate) fn mend(&mut self) {
        self.city.world.platform.set_mode(Mode::Normal);
        self.city.world.platform.accept_connections();
        self.calendar.end();
        self.fault_until = None;
    }

    fn kill(&mut self) -> Option<String> {
        let pid = self.city.signal_daemon(Signal::SIGKILL)?;
        self.calendar.killed(RESTART);
        self.counts.kills += 1;
        Some(format!("kill -9 {pid}"))
    }

    fn stop_for_a_while(&mut self) -> Option<String> {
        let since = SystemTime::now();
        let pid = self.city.signal_daemon(Signal::SIGSTOP)?;
        let length = self.dice.millis(100, 3000);
        thread::sleep(length);
        self.counts.stops += 1;
        // It may have been replaced meanwhile: then there is nobody to go on.
        let _ = kill(pid, Signal::SIGCONT);
        self.calendar.paused(since);
        Some(format!("stopped for {length:?}"))
    }

    fn break_the_platform(&mut self) -> Option<String> {
        // Most end before the token does, and nobody may notice them.
        let longest = if self.dice.below(3) == 0 { 12_000 } else { 4_000 };
        let length = self.dice.millis(200, longest);
        let platform = &self.city.world.platform;
        self.calendar.begin();
        let mode = self.mode();
        let what = match &mode {
            None => {
                platform.refuse_connections();
                String::from("the platform is away")
            }
            Some(mode) => {
                platform.set_mode(mode.clone());
                format!("the platform: {mode:?}")
            }
        };
        self.counts.faults += 1;
        self.fault_until = Some(Instant::now() + length);
        Some(format!("{what}, for {length:?}"))
    }

    /// `None`: nobody listens there any more.
    fn mode(&mut self) -> Option<Mode> {
        let text = String::from;
        let elsewhere = self.city.world.host.url("evil");
        let modes = [
            Mode::Slow(Duration::from_millis(700)),
            Mode::Unauthorized,
            Mode::Forbidden,
            Mode::NotConfigured,
            Mode::RateLimited(RetryAfter::None),
            Mode::RateLimited(RetryAfter::Seconds(1)),
            Mode::RateLimited(RetryAfter::Seconds(1_000_000_000)),
            Mode::RateLimited(RetryAfter::Date(Duration::from_secs(2))),
            Mode::RateLimited(RetryAfter::Text(text("soon"))),
            Mode::Fails,
            Mode::Hangs,
            Mode::Drips,
            Mode::Cut,
            Mode::Html,
            Mode::Huge,
            Mode::Redirects(elsewhere),
            Mode::WrongType,
            Mode::TokenText(text("ghs_with\nline")),
            Mode::TokenText(String::new()),
            Mode::ExpiryText(None),
            Mode::ExpiryText(Some(text("in an hour"))),
            Mode::ExpiryPast,
        ];
        modes.get(self.dice.below(modes.len() + 3)).cloned()
    }

    /// On either side first, with a while between the two in which the bearer
    /// in the file is not the platform's.
    fn rotate_the_bearer(&mut self) -> Option<String> {
        if self.fault_until.is_some() {
            return None;
        }
        let world = &self.city.world;
        let bearer = format!("bearer-{}", self.dice.below(1_000_000_000));
        let between = self.dice.millis(0, 500);
        self.calendar.begin();
        if self.dice.below(2) == 0 {
            world.platform.set_bearer(&bearer);
            thread::sleep(between);
            world.write_bearer(&bearer);
        } else {
            world.write_bearer(&bearer);
            thread::sleep(between);
            world.platform.set_bearer(&bearer);
        }
        self.calendar.end();
        self.counts.bearers += 1;
        Some(format!("another bearer, {between:?} between file and platform"))
    }

    /// As a git does it, or a forger: through the helper.
    fn reject_the_token(&mut self) -> Option<String> {
        reject_newest(&self.city.world, self.git)?;
        self.counts.erases += 1;
        Some(String::from("a git rejects the newest token"))
    }

    /// Another text, or a mistake that has to change nothing. Not while no
    /// daemon runs: it wouldn't start with the mistake, as it must not.
    fn reload(&mut self) -> Option<String> {
        self.city.world.broker.try_status()?;
        let since = SystemTime::now();
        let good = self.dice.below(3) > 0;
        self.city.write_config(if good { "[hooks]" } else { "[nonsense]" });
        let ran = self.city.world.broker.control(&["reload"]);
        self.city.write_config("");
        self.calendar.paused(since);
        self.counts.reloads += 1;
        let word = if good { "good" } else { "bad" };
        Some(format!("reload of a {word} configuration: {:?} after {:.1?}", ran.code(), ran.took))
    }
}
