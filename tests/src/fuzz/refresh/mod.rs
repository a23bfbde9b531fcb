//! The refresh machine, driven by any sequence of events.

mod books;

use std::time::Duration;

use molecule_broker::credential::lease::{Class, Failure, Fresh, Lease, SourceKind};
use molecule_broker::credential::secret::Secret;
use molecule_broker::refresh::{Action, Event, InitialState, Machine, RefreshOutcome, RefreshPolicy};
use molecule_broker::system::time::{Deadline, Moment};

use self::books::Books;
use super::Draw;

const SECOND: Duration = Duration::from_secs(1);
/// Largest number of wake-ups while time passes in one step.
const MOST_TURNS: u32 = 4_000;
const ENV_TOKEN: &str = "ghs_env";

/// Two bytes for the start (see [`Run::new`]), then two bytes for each event:
/// its letter, and an argument for a length or a choice.
pub fn refresh(bytes: &[u8]) {
    let mut draw = Draw(bytes);
    let mut run = Run::new(draw.byte(), draw.byte());
    while !draw.is_over() {
        let (letter, argument) = (draw.byte(), draw.byte());
        run.step(letter, argument);
        run.books.check(&run.machine, run.now, run.wake);
    }
    run.books.count_attempts();
}

struct Run {
    policy: RefreshPolicy,
    machine: Machine,
    now: Moment,
    wake: Option<Duration>,
    asked: Duration,
    minted: u32,
    drawn: u64,
    books: Books,
}

impl Run {
    /// Bits of `shape`: 0 is a token in the environment, 1 a lease of the
    /// previous daemon, 3 a source that can't be asked. `numbers` selects the
    /// policy.
    fn new(shape: u8, numbers: u8) -> Self {
        let now = Moment { boot: 5_000 * SECOND, wall: 1_776_000_000 * SECOND };
        let policy = match numbers % 4 {
            0 | 1 => RefreshPolicy::default(),
            2 => for_seconds(),
            _ => at_its_limits(),
        };
        assert_eq!(policy.check(), []);
        let mut books = Books::new(numbers % 4 < 2, &policy);
        let env = Deadline { boot: now.boot + 3600 * SECOND, wall: Duration::MAX };
        let fallback = (shape & 1 != 0).then(|| lease(ENV_TOKEN, Some(env), SourceKind::Env, now));
        let carried = Deadline::after(now, 1800 * SECOND);
        let leases = (shape & 2 != 0).then(|| lease("ghs_carried", Some(carried), SourceKind::Platform, now));
        fallback.iter().chain(&leases).for_each(|lease| books.named(lease.secret.expose(), lease.deadline));
        let start = InitialState {
            refreshable: shape & 8 == 0,
            leases: leases.into_iter().collect(),
            fallback,
            ..InitialState::default()
        };
        let (machine, action) = Machine::new(policy.clone(), start, now, f64::from(numbers) / 256.0);
        let drawn = u64::from(shape) << 8 | u64::from(numbers);
        Self { policy, machine, now, wake: action.wake_at, asked: now.boot, minted: 0, drawn, books }
    }

    fn step(&mut self, letter: u8, argument: u8) {
        let length = length(argument);
        match letter {
            b'p' => self.pass(length),
            b'P' => self.pass(60 * length),
            b'z' => self.now = self.now.plus(60 * length),
            b'W' => self.set_the_wall(self.now.wall + 60 * length),
            b'w' => self.set_the_wall(self.now.wall.saturating_sub(60 * length)),
            b'd' => self.demand(),
            b'o' => self.force(),
            b'i' => self.wish(),
            b'c' => self.source_changed(),
            b'r' => self.reject(self.held_name(|held| held.current.as_deref())),
            b'R' => self.reject(self.held_name(|held| held.previous.as_deref())),
            b'e' => self.reject(Some(String::from(ENV_TOKEN))),
            b'u' => self.reject(Some(String::from("ghs_unheard_of"))),
            b'n' => self.bring(None, Some(length)),
            b'm' => self.bring(None, Some(60 * length)),
            b'x' => self.bring(None, None),
            b's' => self.bring_again(|held| held.current.as_deref(), Duration::ZERO),
            b'S' => self.bring_again(|held| held.current.as_deref(), 60 * length),
            b'q' => self.bring_again(|held| held.previous.as_deref(), Duration::ZERO),
            b'f' => self.fail(Class::ALL[usize::from(argument) % Class::ALL.len()], None),
            b'F' => self.fail(Class::Http429, Some(60 * length)),
            b'!' => self.restart(),
            _ => self.sleep(),
        }
    }

    /// Sends an event to the machine and records the result, as every driver
    /// does.
    fn send(&mut self, event: Event) -> Action {
        let was_in_flight = self.machine.held().in_flight && !matches!(event, Event::Fetched(_));
        if !matches!(event, Event::Fetched(_) | Event::Due) {
            self.books.disturbed();
        }
        self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let jitter = (self.drawn >> 11) as f64 / (1_u64 << 53) as f64;
        let action = self.machine.on(self.now, jitter, event);
        let held = self.machine.held();
        assert!(!(action.fetch && was_in_flight), "two fetches at the same time");
        assert!(held.refreshable || !action.fetch, "a fetch without a source that can be asked");
        assert_eq!(action.wake_at.is_none(), held.in_flight || !held.refreshable, "there isn't always a next wake-up");
        assert_eq!(action.wake_at, held.next_due);
        if action.fetch {
            self.asked = self.now.boot;
            self.books.asked(self.now.boot);
        }
        self.wake = action.wake_at;
        action
    }

    /// Lets time pass. The timer fires on time, and the driver ends an attempt
    /// at its timeout.
    fn pass(&mut self, length: Duration) {
        let end = self.now.plus(length);
        let (began, mut turns) = (self.now.boot, 0);
        loop {
            let at = match self.wake {
                Some(wake) => wake,
                None if self.machine.held().in_flight => self.asked + self.policy.attempt_timeout,
                None => break,
            };
            if at > end.boot {
                break;
            }
            turns += 1;
            if turns == MOST_TURNS {
                let passed = self.now.boot.saturating_sub(began);
                assert!(
                    passed > self.policy.retry_base / 20 * MOST_TURNS,
                    "a hot loop: {MOST_TURNS} wake-ups in {passed:?}"
                );
                return;
            }
            self.now = self.now.plus(at.saturating_sub(self.now.boot));
            match self.machine.held().in_flight {
                true => self.fail(Class::Timeout, None),
                false => assert!(self.send(Event::Due).fetch, "a due wake-up doesn't ask the source"),
            }
        }
        self.now = end;
    }

    /// Steps the wall clock. The driver's alarm notices it.
    fn set_the_wall(&mut self, wall: Duration) {
        self.now.wall = wall;
        self.books.disturbed();
        let _ = self.send(Event::Due);
    }

    fn sleep(&mut self) {
        if let Some(wake) = self.wake {
            self.pass(wake.saturating_sub(self.now.boot));
        }
    }

    fn demand(&mut self) {
        let served = self.machine.held().live(self.now).is_some();
        let asks = self.send(Event::Demand).fetch;
        assert!(!(asks && served), "a client causes a fetch while a live token is held");
    }

    fn force(&mut self) {
        if self.send(Event::RefreshRequested { operator: true }).fetch {
            self.books.excused(self.now.boot, 1);
        }
    }

    /// An agent asks for a refresh. It may cause a fetch only if the least gap
    /// has passed.
    fn wish(&mut self) {
        let held = self.machine.held();
        let may = match held.consecutive_failures {
            0 => held.last_success.is_none_or(|then| self.now.boot >= then.boot + self.policy.forced_min_gap),
            _ => held.next_due.is_none_or(|due| self.now.boot >= due),
        };
        if self.send(Event::RefreshRequested { operator: false }).fetch {
            assert!(may, "an agent causes a fetch too soon");
            self.books.excused(self.now.boot, 1);
        }
    }

    fn source_changed(&mut self) {
        let _ = self.send(Event::SourceChanged);
        self.books.excused(self.now.boot, 2);
    }

    fn reject(&mut self, name: Option<String>) {
        let Some(name) = name else { return };
        let before = self.books.seen(&self.machine);
        let action = self.send(Event::Rejected { sha256: sha256(&name) });
        match action.outcome {
            RefreshOutcome::Rejected | RefreshOutcome::RejectedAgain | RefreshOutcome::FallbackRejected => {
                self.books.rejected(&name, self.now.boot, action.fetch)
            }
            RefreshOutcome::TooFresh => {}
            _ => {
                assert!(!action.fetch, "the rejection of an unknown token causes a fetch");
                assert_eq!(
                    self.books.seen(&self.machine),
                    before,
                    "the rejection of an unknown token changes the state"
                );
            }
        }
    }

    fn bring(&mut self, name: Option<String>, life: Option<Duration>) {
        if !self.machine.held().in_flight {
            return;
        }
        self.minted += 1;
        let name = name.unwrap_or_else(|| format!("ghs_{}", self.minted));
        self.fetched(&name, life.map(|life| Deadline::after(self.now, life)));
    }

    /// The source repeats a token, and announces that it lives this much longer
    /// than before.
    fn bring_again(&mut self, which: impl Fn(&molecule_broker::refresh::Held) -> Option<&Lease>, longer: Duration) {
        let held = self.machine.held();
        let Some(lease) = which(held).filter(|_| held.in_flight) else { return };
        let (name, deadline) = (String::from(lease.secret.expose()), lease.deadline);
        let honest = deadline.map(|deadline| Deadline { boot: self.now.boot + deadline.left(self.now), ..deadline });
        let said = honest.map(|d| Deadline { boot: d.boot + longer, wall: d.wall.saturating_add(longer) });
        self.fetched(&name, said);
    }

    fn fetched(&mut self, name: &str, deadline: Option<Deadline>) {
        let before = self.books.before(&self.machine, self.now);
        // With a wrong wall clock, a live token can look dead on arrival. Then
        // its answer is worthless, and so is the expiry that it announces.
        if deadline.is_none_or(|deadline| !deadline.left(self.now).is_zero()) {
            self.books.named(name, deadline);
        }
        let fresh = Fresh { username: None, secret: secret(name), deadline, source: SourceKind::Platform };
        let outcome = self.send(Event::Fetched(Ok(fresh))).outcome;
        self.books.brought(&before, name, deadline, outcome, &self.machine, self.now);
    }

    fn fail(&mut self, class: Class, retry_after: Option<Duration>) {
        if !self.machine.held().in_flight {
            return;
        }
        let before = self.books.before(&self.machine, self.now);
        let failure = Failure { retry_after, ..Failure::new(class, "as drawn") };
        let outcome = self.send(Event::Fetched(Err(failure))).outcome;
        assert_eq!(outcome, RefreshOutcome::Failed(class));
        let not_configured = (class == Class::Http404).then_some(self.policy.not_configured_interval);
        self.books.failed(&before, retry_after.max(not_configured), &self.machine, self.now);
    }

    /// The daemon dies, and the next one takes over the stored leases.
    fn restart(&mut self) {
        let held = self.machine.held();
        let leases = [&held.previous, &held.current];
        let start = InitialState {
            refreshable: held.refreshable,
            leases: leases.into_iter().flatten().map(|lease| Lease::clone(lease)).collect(),
            rejected: held.rejected.to_vec(),
            fallback: held.fallback.as_deref().cloned(),
            failure: None,
        };
        let (machine, action) = Machine::new(self.policy.clone(), start, self.now, 0.5);
        assert!(!action.fetch, "a restart alone causes a fetch");
        self.machine = machine;
        self.wake = action.wake_at;
        self.books.restarted(self.now.boot);
    }

    fn held_name(&self, which: impl Fn(&molecule_broker::refresh::Held) -> Option<&Lease>) -> Option<String> {
        which(self.machine.held()).map(|lease| String::from(lease.secret.expose()))
    }
}

/// Returns one second for 0x00, 8 for `0`, 68 for `a`, and so on to 17 hours
/// for 0xff.
fn length(argument: u8) -> Duration {
    let argument = u64::from(argument);
    Duration::from_secs(((16 + argument % 16) << (argument / 16)) / 16)
}

fn secret(name: &str) -> Secret {
    Secret::token(name).expect("the name consists of plain letters")
}

fn sha256(name: &str) -> [u8; 32] {
    secret(name).sha256()
}

fn lease(name: &str, deadline: Option<Deadline>, source: SourceKind, received: Moment) -> Lease {
    Lease {
        username: None,
        sha256: sha256(name),
        secret: secret(name).into(),
        deadline,
        generation: 1,
        received,
        source,
    }
}

/// Returns a policy for tokens that live eight seconds.
fn for_seconds() -> RefreshPolicy {
    let millis = Duration::from_millis;
    RefreshPolicy {
        interval: millis(6_000),
        jitter: millis(266),
        lead_max: millis(633),
        lead_min: millis(266),
        same_token_min: millis(44),
        same_token_max: millis(88),
        retry_base: millis(100),
        retry_max: millis(1_000),
        not_configured_interval: millis(1_333),
        forced_min_gap: millis(66),
        replication_lag: millis(11),
        ..RefreshPolicy::default()
    }
}

/// Returns a policy at the limits that `RefreshPolicy::check` allows.
fn at_its_limits() -> RefreshPolicy {
    let (tick, year) = (Duration::from_millis(10), 366 * 24 * 3600 * SECOND);
    RefreshPolicy {
        interval: year,
        jitter: year,
        lead_max: year,
        lead_min: tick,
        lead_fraction: 0.999,
        same_token_min: tick,
        same_token_max: year,
        retry_base: tick,
        retry_max: year,
        not_configured_interval: year,
        forced_min_gap: tick,
        replication_lag: year,
        attempt_timeout: tick,
        initial_delay: None,
        boot_spread: year,
    }
}
