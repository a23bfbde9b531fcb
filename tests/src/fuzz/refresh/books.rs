//! Books that are kept apart from the machine: when each token truly dies, who
//! was rejected, when the source was asked, and why. They judge what the
//! machine serves by nothing that the machine says of itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use molecule_broker::lease::Lease;
use molecule_broker::moment::{Deadline, Moment};
use molecule_broker::refresh::{Held, Machine, Outcome, Policy, Serving};

use super::ENV_TOKEN;

const MINUTE: Duration = Duration::from_secs(60);
/// With lives shorter than this the pace of asking follows the lives.
const LONG_LIFE: Duration = Duration::from_secs(300);
/// What retries, a token about to die and rejections come to in a minute, with
/// the usual numbers.
const MOST_IN_A_MINUTE: usize = 32;

pub(super) struct Books {
    /// The earliest end that was ever named for each token.
    ends: HashMap<String, Option<Deadline>>,
    rejected: HashSet<String>,
    forced_min_gap: Duration,
    retry_base: Duration,
    last_forced: Option<Duration>,
    asked: Vec<Duration>,
    excused: Vec<(Duration, usize)>,
    /// Whether the usual pace can be expected at all.
    counts: bool,
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
            ends: HashMap::new(),
            rejected: HashSet::new(),
            forced_min_gap: policy.forced_min_gap,
            retry_base: policy.retry_base,
            last_forced: None,
            asked: Vec::new(),
            excused: Vec::new(),
            counts: usual_numbers,
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
        self.asked.push(at);
    }

    /// The next daemon doesn't know when rejections last asked.
    pub(super) fn restarted(&mut self, at: Duration) {
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
            assert!(gap.is_none_or(|gap| gap >= self.forced_min_gap), "a forged rejection asks again after {gap:?}");
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
        self.excused(now.boot, 2);
        self.counts &= end.is_none_or(|end| end.left(now) >= LONG_LIFE);
        let held = machine.held();
        let current = held.current.as_deref().map(name);
        match outcome {
            Outcome::Refreshed { generation } => {
                assert_eq!(current.as_deref(), Some(brought));
                assert!(generation > before.generation && held.generation == generation);
                self.is_no_step_back(before, end, now);
            }
            // Something that can't be served was brought: as after an error.
            Outcome::SameToken | Outcome::Shorter | Outcome::Failed(_) => {
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

    pub(super) fn failed(&mut self, before: &Before, machine: &Machine, now: Moment) {
        assert!(machine.held().last_error.is_some());
        assert_eq!(machine.held().generation, before.generation);
        self.nothing_is_lost(before, machine, now);
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
                assert!(wake <= now.boot + left.max(self.retry_base), "asleep until after the end of {current}");
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
        for (at, from) in self.asked.iter().enumerate() {
            let within = |then: &Duration| *then >= *from && *then < *from + MINUTE;
            let attempts = self.asked[at..].iter().take_while(|then| within(then)).count();
            // An event may bring about an attempt a little later.
            let since = from.saturating_sub(MINUTE);
            let excused: usize =
                self.excused.iter().filter(|(at, _)| *at >= since && *at < *from + MINUTE).map(|(_, n)| n).sum();
            assert!(attempts <= MOST_IN_A_MINUTE + excused, "{attempts} attempts in a minute, {excused} excused");
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
