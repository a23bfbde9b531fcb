//! The trouble that is caused on purpose, and its times.
//!
//! - [`deck`]: the choice of the next kind;
//! - [`daemon`]: trouble for the daemon, and [`calls`] for its system calls;
//! - [`platform`]: failures of the platform.

mod calls;
mod daemon;
mod deck;
mod platform;

use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::programs::Git;

pub(crate) use self::deck::Deck;
use self::deck::{Card, Missing};
use crate::calendar::Calendar;
use crate::city::City;
use crate::dice::Dice;

/// Outcome of all trouble.
pub(crate) struct Made {
    pub(crate) deck: Deck,
    /// Lines that failed writes should have added to the audit log.
    pub(crate) unwritten: Vec<String>,
}

pub(crate) struct Trouble<'a> {
    city: &'a City,
    git: &'a Git,
    calendar: &'a Calendar,
    dice: Dice,
    life: Duration,
    deck: Deck,
    unwritten: Vec<String>,
    /// Time until which the platform's current fault lasts, and below it the
    /// disk's.
    platform_until: Option<Instant>,
    disk_until: Option<Instant>,
}

impl<'a> Trouble<'a> {
    pub(crate) fn new(city: &'a City, git: &'a Git, calendar: &'a Calendar, dice: Dice, life: Duration) -> Self {
        let missing = Missing {
            calls: !calls::can_fail(),
            limits: !daemon::can_limit(),
            disk: !city.disk.is_small(),
            clock: city.clock.is_none(),
        };
        let deck = Deck::new(missing);
        Self { city, git, calendar, dice, life, deck, unwritten: Vec::new(), platform_until: None, disk_until: None }
    }

    /// Causes one kind of trouble, and pauses after it. In a `calm` the daemon
    /// isn't killed or ended in any other way.
    pub(crate) fn step(&mut self, calm: bool) -> Option<String> {
        let is_over = |until: Option<Instant>| until.is_some_and(|until| Instant::now() >= until);
        if is_over(self.platform_until) {
            self.mend_the_platform();
        }
        if is_over(self.disk_until) {
            self.mend_the_disk();
        }
        let card = self.deck.draw(&mut self.dice, calm);
        let what = match card {
            Card::Kill => self.kill(),
            Card::Stop => self.stop_for_a_while(),
            Card::Reload => self.reload(),
            Card::Reject => self.reject_the_token(),
            Card::Limit => self.limit_descriptors(),
            Card::Memory => self.limit_memory(),
            Card::Call(call) => self.fail_calls(call),
            Card::Platform => self.break_the_platform(),
            Card::Bearer => self.rotate_the_bearer(),
            Card::Disk => self.break_the_disk(),
            Card::Clock => self.jump_the_clock(),
        };
        if what.is_some() {
            self.deck.count(&card);
        }
        // The daemon should be undisturbed most of the time.
        thread::sleep(self.dice.millis(200, 1400));
        what
    }

    pub(crate) fn mend(&mut self) {
        self.mend_the_platform();
        self.mend_the_disk();
    }

    pub(crate) fn made(self) -> Made {
        Made { deck: self.deck, unwritten: self.unwritten }
    }

    /// Breaks the disk of the token file, which clients don't depend on.
    fn break_the_disk(&mut self) -> Option<String> {
        if self.disk_until.is_some() {
            return None;
        }
        let (supervisor, full) = (self.city.supervisor(), self.dice.below(2) == 0);
        let length = self.dice.millis(500, self.life.as_millis() as u64);
        let done = self.city.disk.break_it(supervisor, full);
        self.disk_until = done.then(|| Instant::now() + length);
        let word = if full { "full" } else { "read-only" };
        done.then(|| format!("the token file's disk is {word} for {length:?}"))
    }

    fn mend_the_disk(&mut self) {
        self.city.disk.mend(self.city.supervisor());
        self.disk_until = None;
    }
}
