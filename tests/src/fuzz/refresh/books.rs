//! Books that are kept apart from the machine: when each token truly dies, who
//! was rejected, when the source was asked, and why. They judge what the
//! machine serves by nothing that the machine says of itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use molecule_broker::credential::lease::Lease;
use molecule_broker::refresh::{Held, Machine, Outcome, Policy, Serving};
use molecule_broker::system::time::{Deadline, Moment};

use super::ENV_TOKEN;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// With lives shorter than this the pace of asking follows the lives.
const LONG_LIFE: Duration = Duration::from_secs(300);
/// What retries, a token about to die and rejections come to within each of
/// these, with the usual numbers.
const MOST: [(Duration, usize); 2] = [(MINUTE, 32), (HOUR, 240)];

pub(super) struct Books {
    policy: Policy,
    /// The earliest end that was ever named for each token.
    ends: HashMap<String, Option<Deadline>>,
    rejected: HashSet<String>,
    last_forced: Option<Duration>,
    asked: Vec<Duration>,
    excused: Vec<(Duration, usize)>,
    /// Whether the usual pace can be expected at all.
    counts: bool,
    /// Since when nothing but time has passed since a fetch ended, and how long
    /// that alone keeps the next one off.
    calm: Option<(Duration, Duration)>,
    /// Whether something else has happened since it was asked.
    disturbed: bool,
    /// Until when a source may have asked to be left alone.
    wished: Duration,
}

/// How things stood before an event.
pub(super) struct Before {
    served: Option<String>,
    current: Option<(String, Option<Deadline>)>,
    generation: u64,
}

impl Books {
    pub(super) fn new(usual_numbers: bool, policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            ends: HashMap::new(),
            rejected: HashSet::new(),
            last_forced: None,
            asked: Vec::new(),
            excused: Vec::new(),
            counts: usual_numbers,
            calm: None,
            disturbed: false,
            wished: Duration::ZERO,
        }
    }

    pub(super) fn named(&mut self, name: &str, end: Option<Deadline>) {
        let sooner = |a: Deadline, b: Deadline| Deadline { boot: a.boot.min(b.boot), wall: a.wall.min(b.wall) };
        let known = self.ends.entry(String::from(name)).or_insert(end);
        *known = match (*known, end) {
            (Some(a), Some(b)) => Some(sooner(a, b)),
            (a, b) => a.or(b),
        };
    }

    pub(super) fn asked(&mut self, at: Duration) {
        if let Some((since, gap)) = self.calm.take() {
            let passed = at.saturating_sub(since);
            assert!(passed >= gap, "asked again after {passed:?} of {gap:?} for no reason");
        }
        self.asked.push(at);
        self.disturbed = false;
    }

    /// Something other than time may be a reason to ask, now or once the
    /// attempt in flight has ended.
    pub(super) fn disturbed(&mut self) {
        self.calm = None;
        self.disturbed = true;
    }

    /// The end of the token in hand is a reason too.
    fn ended(&mut self, gap: Duration, machine: &Machine, now: Moment) {
        let current = machine.held().current.as_deref().map(name).filter(|name| self.lives(name, now));
        let left = current.and_then(|name| self.ends[&name]).map(|end| end.left(now));
        self.calm = (!self.disturbed).then(|| (now.boot, left.map_or(gap, |left| gap.min(left))));
    }

    /// The next daemon doesn't know when the source was last asked, nor when
    /// rejections did.
    pub(super) fn restarted(&mut self, at: Duration) {
        self.disturbed();
        self.last_forced = None;
        self.excused(at, 2);
    }

    /// Something that may cause so many attempts beside the usual.
    pub(super) fn excused(&mut self, at: Duration, attempts: usize) {
        self.excused.push((at, attempts));
    }

    pub(super) fn rejected(&mut self, name: &str, at: Duration, fetch: bool) {
        let is_new = self.rejected.insert(String::from(name));
        if fetch && name != ENV_TOKEN {
            let gap = self.last_forced.map(|last| at.saturating_sub(last));
            assert!(
                gap.is_none_or(|gap| gap >= self.policy.forced_min_gap),
                "a forged rejection asks again after {gap:?}"
            );
            self.last_forced = Some(at);
        } else if fetch {
            assert!(is_new, "the same rejection twice");
            self.excused(at, 1);
        }
    }

    pub(super) fn before(&self, machine: &Machine, now: Moment) -> Before {
        let held = machine.held();
        Before {
            served: held.live(now).map(name),
            current: held.current.as_deref().map(|lease| (name(lease), lease.deadline)),
            generation: held.generation,
        }
    }

    /// All that a rejection of somebody else's token may not touch. The next
    /// wake-up is left out: a stepped wall moves it, whatever the event.
    pub(super) fn seen(&self, machine: &Machine) -> String {
        let Held { current, previous, fallback, rejected, in_flight, awaited, doubted_until, .. } = machine.held();
        let names = [current, previous, fallback].map(|lease| lease.as_deref().map(name));
        format!("{names:?} {rejected:?} {in_flight} {awaited} {doubted_until:?}")
    }

    pub(super) fn brought(
        &mut self,
        before: &Before,
        brought: &str,
        end: Option<Deadline>,
        outcome: Outcome,
        machine: &Machine,
        now: Moment,
    ) {
        self.counts &= end.is_none_or(|end| end.left(now) >= LONG_LIFE);
        let held = machine.held();
        let current = held.current.as_deref().map(name);
        match outcome {
            Outcome::Refreshed { generation } => {
                self.excused(now.boot, 2);
                // One that was rejected before is asked after at the pace of
                // a suspect.
                let known = self.rejected.contains(brought);
                self.ended(if known { self.policy.retry_base / 10 } else { self.policy.retry_base }, machine, now);
                assert_eq!(current.as_deref(), Some(brought));
                assert!(generation > before.generation && held.generation == generation);
                self.is_no_step_back(before, end, now);
            }
            // Something that can't be served was brought: as after an error.
            Outcome::SameToken | Outcome::Shorter | Outcome::Failed(_) => {
                self.ended(self.policy.retry_base / 10, machine, now);
                assert_eq!(current, before.current.as_ref().map(|(name, _)| name.clone()));
                assert_eq!(held.generation, before.generation);
                self.nothing_is_lost(before, machine, now);
            }
            other => panic!("a fetch that ended as {other:?}"),
        }
    }

    /// A token that dies earlier, by what was measured and by what was written
    /// down, replaces none that lives and wasn't rejected.
    fn is_no_step_back(&self, before: &Before, end: Option<Deadline>, now: Moment) {
        let Some((old, old_end)) = &before.current else { return };
        if self.lives(old, now) && !self.rejected.contains(old) {
            let earlier = end.zip(*old_end).is_some_and(|(new, old)| new.wall < old.wall && new.boot < old.boot);
            assert!(!earlier, "a shorter life in place of a longer one");
        }
    }

    pub(super) fn failed(&mut self, before: &Before, wished: Option<Duration>, machine: &Machine, now: Moment) {
        self.ended(self.policy.retry_base / 10, machine, now);
        self.wished = now.boot + self.granted(wished.unwrap_or_default(), before, now);
        assert!(machine.held().last_error.is_some());
        assert_eq!(machine.held().generation, before.generation);
        self.nothing_is_lost(before, machine, now);
    }

    /// How long a source that asks for so long a pause is left alone: at most
    /// half of the life in hand, or as long as one that isn't configured.
    fn granted(&self, wished: Duration, before: &Before, now: Moment) -> Duration {
        let most = match &before.current {
            Some((name, _)) if self.lives(name, now) => self.ends[name].map_or(Duration::MAX, |end| end.left(now) / 2),
            _ => self.policy.not_configured_interval + self.policy.retry_max,
        };
        wished.saturating_add(self.policy.retry_max).min(most)
    }

    /// The latest wake-up that leaves nothing undone.
    fn latest(&self, held: &Held, now: Moment) -> Duration {
        let Policy { same_token_max, boot_spread, retry_max, .. } = self.policy;
        if held.consecutive_failures > 0 {
            return self.wished.max(now.boot + retry_max);
        }
        // The platform repeats a token until shortly before its end.
        let left = held.current.as_deref().and_then(|lease| self.ends[&name(lease)]).map(|end| end.left(now));
        let ceiling = self.policy.interval + self.policy.usable_jitter();
        now.boot + ceiling.max(same_token_max).max(boot_spread).max(left.unwrap_or_default())
    }

    /// What was served is served on, now and at several instants up to its end.
    fn nothing_is_lost(&self, before: &Before, machine: &Machine, now: Moment) {
        let Some(served) = &before.served else { return };
        let end = self.ends[served];
        assert!(machine.held().live(now).is_some(), "an error took away {served}");
        let Some(left) = end.map(|end| end.left(now)) else { return };
        for quarter in 1..4 {
            let then = now.plus(left / 4 * quarter);
            let lives = machine.held().live(then);
            assert!(lives.is_some(), "{served} is lost before its end");
        }
        let dead = machine.held().live(now.plus(left)).map(name);
        assert_ne!(dead.as_ref(), Some(served), "served at its very end");
    }

    /// What must hold whatever happened.
    pub(super) fn check(&self, machine: &Machine, now: Moment, wake: Option<Duration>) {
        let held = machine.held();
        assert_eq!(wake.is_none(), held.in_flight || !held.refreshable, "always a next wake-up");
        let latest = self.latest(held, now);
        assert!(wake.is_none_or(|wake| wake <= latest), "asleep until {wake:?}, {latest:?} at the latest");
        let current = held.current.as_deref().map(name).filter(|name| self.lives(name, now));
        for served in [held.live(now), live(held.serving(now))].into_iter().flatten() {
            let served = name(served);
            assert!(self.lives(&served, now), "{served} is dead, and served");
            if served == ENV_TOKEN {
                assert!(!self.rejected.contains(ENV_TOKEN), "rejected, and served");
                assert!(current.is_none() && (held.consecutive_failures > 0 || !held.refreshable));
            }
        }
        if let Some(current) = current {
            assert!(held.live(now).is_some(), "{current} lives, and nothing is served");
            let waits = held.in_flight && held.awaited;
            assert!(waits || live(held.serving(now)).is_some(), "{current} lives, and callers are turned away");
            let end = self.ends[&current].map(|end| end.left(now));
            if let (Some(wake), Some(left), 0) = (wake, end, held.consecutive_failures) {
                // A life shorter than the least time between two attempts ends
                // before the next one.
                assert!(wake <= now.boot + left.max(self.policy.retry_base), "asleep until after the end of {current}");
            }
        }
        assert!(held.rejected.len() <= 3, "it keeps what concerns no lease in hand");
        // Whatever is asked of it is answered without a panic.
        let _ = (held.state(now).name(), held.facts(now));
    }

    pub(super) fn count_attempts(&self) {
        if !self.counts {
            return;
        }
        for (window, most) in MOST {
            for (at, from) in self.asked.iter().enumerate() {
                let within = |then: &Duration| *then >= *from && *then < *from + window;
                let attempts = self.asked[at..].iter().take_while(|then| within(then)).count();
                // An event may bring about an attempt a little later.
                let since = from.saturating_sub(MINUTE);
                let may = self.excused.iter().filter(|(at, _)| *at >= since && *at < *from + window);
                let excused: usize = may.map(|(_, attempts)| attempts).sum();
                assert!(attempts <= most + excused, "{attempts} attempts in {window:?}, {excused} excused");
            }
        }
    }

    fn lives(&self, name: &str, now: Moment) -> bool {
        self.ends[name].is_none_or(|end| now.boot < end.boot && now.wall < end.wall)
    }
}

fn live(serving: Serving<'_>) -> Option<&Lease> {
    match serving {
        Serving::Live(lease) => Some(lease),
        Serving::Wait | Serving::Nothing(_) => None,
    }
}

fn name(lease: &Lease) -> String {
    String::from(lease.secret.expose())
}
