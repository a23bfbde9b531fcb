//! Trouble of the platform: each of its failures, and changing bearers.

use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::platform::{Mode, RetryAfter};

use super::Trouble;

impl Trouble<'_> {
    pub(super) fn break_the_platform(&mut self) -> Option<String> {
        if self.platform_until.is_some() {
            return None;
        }
        // Most end before the token does. No client may notice those.
        let longest = if self.dice.below(3) == 0 { self.life } else { self.life / 3 };
        let length = self.dice.millis(200, longest.as_millis() as u64);
        let platform = &self.city.world.platform;
        self.calendar.begin();
        let mode = self.mode();
        let what = match &mode {
            None => {
                platform.refuse_connections();
                String::from("the platform is down")
            }
            Some(mode) => {
                platform.set_mode(mode.clone());
                format!("the platform: {mode:?}")
            }
        };
        self.platform_until = Some(Instant::now() + length);
        Some(format!("{what}, for {length:?}"))
    }

    pub(super) fn mend_the_platform(&mut self) {
        self.city.world.platform.set_mode(Mode::Normal);
        self.city.world.platform.accept_connections();
        self.calendar.end();
        self.platform_until = None;
    }

    /// Returns a failure. `None` means that no process listens any more.
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
            Mode::Reset,
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

    /// Changes the bearer on one side first. For a while, the bearer in the
    /// file isn't the platform's.
    pub(super) fn rotate_the_bearer(&mut self) -> Option<String> {
        if self.platform_until.is_some() {
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
        Some(format!("a new bearer, {between:?} between file and platform"))
    }
}
