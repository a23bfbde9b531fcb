//! Trouble of the platform: each of its failures, and changing bearers.

use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::platform::{PlatformMode, RetryAfter};

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
        self.city.world.platform.set_mode(PlatformMode::Normal);
        self.city.world.platform.accept_connections();
        self.calendar.end();
        self.platform_until = None;
    }

    /// Returns a failure. `None` means that no process listens any more.
    fn mode(&mut self) -> Option<PlatformMode> {
        let text = String::from;
        let elsewhere = self.city.world.host.url("evil");
        let modes = [
            PlatformMode::Slow(Duration::from_millis(700)),
            PlatformMode::Unauthorized,
            PlatformMode::Forbidden,
            PlatformMode::NotConfigured,
            PlatformMode::RateLimited(RetryAfter::None),
            PlatformMode::RateLimited(RetryAfter::Seconds(1)),
            PlatformMode::RateLimited(RetryAfter::Seconds(1_000_000_000)),
            PlatformMode::RateLimited(RetryAfter::Date(Duration::from_secs(2))),
            PlatformMode::RateLimited(RetryAfter::Text(text("soon"))),
            PlatformMode::Fails,
            PlatformMode::Hangs,
            PlatformMode::Drips,
            PlatformMode::Cut,
            PlatformMode::Reset,
            PlatformMode::Html,
            PlatformMode::Huge,
            PlatformMode::Redirects(elsewhere),
            PlatformMode::WrongType,
            PlatformMode::TokenText(text("ghs_with\nline")),
            PlatformMode::TokenText(String::new()),
            PlatformMode::ExpiryText(None),
            PlatformMode::ExpiryText(Some(text("in an hour"))),
            PlatformMode::ExpiryPast,
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
