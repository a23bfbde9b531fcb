//! Books that are kept independently of the machine: when each token really
//! expires, which tokens were rejected, when the source was asked, and why.
//! They judge the machine by none of its own statements.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use molecule_broker::credential::lease::Lease;
use molecule_broker::refresh::{Held, Machine, RefreshOutcome, RefreshPolicy, Serving};
use molecule_broker::system::time::{Deadline, Moment};

use super::ENV_TOKEN;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// Below this life of a token, the pace of requests depends on the life.
const LONG_LIFE: Duration = Duration::from_secs(300);
/// The largest number of requests in each of these windows with the default
/// numbers: by retries, by a token that is about to die, and by rejections.
const MOST: [(Duration, usize); 2] = [(MINUTE, 32), (HOUR, 240)];

pub(super) struct Books {
    policy: RefreshPolicy,
    /// The earliest expiry that was ever announced for each token.
    ends: HashMap<String, Option<Deadline>>,
    rejected: HashSet<String>,
    last_forced: Option<Duration>,
    asked: Vec<Duration>,
    excused: Vec<(Duration, usize)>,
    /// True if the default pace can be expected at all.
    counts: bool,
    /// When the last fetch ended, and the least time from then until the next
    /// one. `None` if something other than time may cause the next one.
    calm: Option<(Duration, Duration)>,
    /// True if an event other than time has happened since the last request.
    disturbed: bool,
    /// Time until which a source may have asked for a pause.
    wished: Duration,
}

/// State of the machine before an event.
pub(super) struct Before {
    served: Option<String>,
    current: Option<(String, Option<Deadline>)>,
    generation: u64,
}

impl Books {
    pub(super) fn new(usual_numbers: bool, policy: &RefreshPolicy) -> Self {
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
            assert!(passed >= gap, "asked again after {passed:?} of {gap:?} without a reason");
        }
        self.asked.push(at);
        self.disturbed = false;
    }

    /// Records an event other than time that may cause a request, now or when
    /// the request in flight has ended.
    pub(super) fn disturbed(&mut self) {
        self.calm = None;
        self.disturbed = true;
    }

    /// Records the end of a fetch. The expiry of the current token may also
    /// cause the next one.
    fn ended(&mut self, gap: Duration, machine: &Machine, now: Moment) {
        let current = machine.held().current.as_deref().map(name).filter(|name| self.lives(name, now));
        let left = current.and_then(|name| self.ends[&name]).map(|end| end.left(now));
        self.calm = (!self.disturbed).then(|| (now.boot, left.map_or(gap, |left| gap.min(left))));
    }

    /// The next daemon knows neither the time of the last request to the source
    /// nor that of the last one that a rejection caused.
    pub(super) fn restarted(&mut self, at: Duration) {
        self.disturbed();
        self.last_forced = None;
        self.excused(at, 2);
    }

    /// Records an event that may cause this many additional attempts.
    pub(super) fn excused(&mut self, at: Duration, attempts: usize) {
        self.excused.push((at, attempts));
    }

    pub(super) fn rejected(&mut self, name: &str, at: Duration, fetch: bool) {
        let is_new = self.rejected.insert(String::from(name));
        if fetch && name != ENV_TOKEN {
            let gap = self.last_forced.map(|last| at.saturating_sub(last));
            assert!(
                gap.is_none_or(|gap| gap >= self.policy.forced_min_gap),
                "a forged rejection causes a request after only {gap:?}"
            );
            self.last_forced = Some(at);
        } else if fetch {
            assert!(is_new, "the same rejection causes two requests");
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

    /// Returns everything that the rejection of an unknown token must not
    /// change. The next wake-up is left out: a step of the wall clock moves it,
    /// whatever the event.
    pub(super) fn seen(&self, machine: &Machine) -> String {
        let Held { current, previous, fallback, rejected, in_flight, awaited, replication_grace_until, .. } =
            machine.held();
        let names = [current, previous, fallback].map(|lease| lease.as_deref().map(name));
        format!("{names:?} {rejected:?} {in_flight} {awaited} {replication_grace_until:?}")
    }

    pub(super) fn brought(
        &mut self,
        before: &Before,
        brought: &str,
        end: Option<Deadline>,
        outcome: RefreshOutcome,
        machine: &Machine,
        now: Moment,
    ) {
        self.counts &= end.is_none_or(|end| end.left(now) >= LONG_LIFE);
        let held = machine.held();
        let current = held.current.as_deref().map(name);
        match outcome {
            RefreshOutcome::Refreshed { generation } => {
                self.excused(now.boot, 2);
                // For a token that was rejected before, the source is asked at
                // the pace of a suspected token.
                let known = self.rejected.contains(brought);
                self.ended(if known { self.policy.retry_base / 10 } else { self.policy.retry_base }, machine, now);
                assert_eq!(current.as_deref(), Some(brought));
                assert!(generation > before.generation && held.generation == generation);
                self.is_no_step_back(before, end, now);
            }
            // The source brought a token that can't be served. The pace is as
            // after an error.
            RefreshOutcome::SameToken | RefreshOutcome::ExpiresSooner | RefreshOutcome::Failed(_) => {
                self.ended(self.policy.retry_base / 10, machine, now);
                assert_eq!(current, before.current.as_ref().map(|(name, _)| name.clone()));
                assert_eq!(held.generation, before.generation);
                self.nothing_is_lost(before, machine, now);
            }
            other => panic!("a fetch that ended as {other:?}"),
        }
    }

    /// Checks that a live token that wasn't rejected isn't replaced by one that
    /// expires earlier by both clocks.
    fn is_no_step_back(&self, before: &Before, end: Option<Deadline>, now: Moment) {
        let Some((old, old_end)) = &before.current else { return };
        if self.lives(old, now) && !self.rejected.contains(old) {
            let earlier = end.zip(*old_end).is_some_and(|(new, old)| new.wall < old.wall && new.boot < old.boot);
            assert!(!earlier, "a token is replaced by one that lives shorter");
        }
    }

    pub(super) fn failed(&mut self, before: &Before, wished: Option<Duration>, machine: &Machine, now: Moment) {
        self.ended(self.policy.retry_base / 10, machine, now);
        self.wished = now.boot + self.granted(wished.unwrap_or_default(), before, now);
        assert!(machine.held().last_error.is_some());
        assert_eq!(machine.held().generation, before.generation);
        self.nothing_is_lost(before, machine, now);
    }

    /// Returns how long a source that asked for a pause is left alone: at most
    /// half of the current token's life, or as long as a platform that isn't
    /// configured.
    fn granted(&self, wished: Duration, before: &Before, now: Moment) -> Duration {
        let most = match &before.current {
            Some((name, _)) if self.lives(name, now) => self.ends[name].map_or(Duration::MAX, |end| end.left(now) / 2),
            _ => self.policy.not_configured_interval + self.policy.retry_max,
        };
        wished.saturating_add(self.policy.retry_max).min(most)
    }

    /// Returns the latest allowed wake-up.
    fn latest(&self, held: &Held, now: Moment) -> Duration {
        let RefreshPolicy { same_token_max, boot_spread, retry_max, .. } = self.policy;
        if held.consecutive_failures > 0 {
            return self.wished.max(now.boot + retry_max);
        }
        // The platform repeats a token until shortly before its expiry.
        let left = held.current.as_deref().and_then(|lease| self.ends[&name(lease)]).map(|end| end.left(now));
        let ceiling = self.policy.interval + self.policy.usable_jitter();
        now.boot + ceiling.max(same_token_max).max(boot_spread).max(left.unwrap_or_default())
    }

    /// Checks that the served token is still served, now and at several
    /// instants up to its expiry.
    fn nothing_is_lost(&self, before: &Before, machine: &Machine, now: Moment) {
        let Some(served) = &before.served else { return };
        let end = self.ends[served];
        assert!(machine.held().live(now).is_some(), "after an error, {served} is no longer served");
        let Some(left) = end.map(|end| end.left(now)) else { return };
        for quarter in 1..4 {
            let then = now.plus(left / 4 * quarter);
            let lives = machine.held().live(then);
            assert!(lives.is_some(), "{served} is lost before its expiry");
        }
        let dead = machine.held().live(now.plus(left)).map(name);
        assert_ne!(dead.as_ref(), Some(served), "served at its expiry");
    }

    /// Checks what must hold after every event.
    pub(super) fn check(&self, machine: &Machine, now: Moment, wake: Option<Duration>) {
        let held = machine.held();
        assert_eq!(wake.is_none(), held.in_flight || !held.refreshable, "there isn't always a next wake-up");
        let latest = self.latest(held, now);
        assert!(wake.is_none_or(|wake| wake <= latest), "asleep until {wake:?}, {latest:?} at the latest");
        let current = held.current.as_deref().map(name).filter(|name| self.lives(name, now));
        for served in [held.live(now), live(held.serving(now))].into_iter().flatten() {
            let served = name(served);
            assert!(self.lives(&served, now), "{served} is dead but served");
            if served == ENV_TOKEN {
                assert!(!self.rejected.contains(ENV_TOKEN), "the environment's token is rejected but served");
                assert!(current.is_none() && (held.consecutive_failures > 0 || !held.refreshable));
            }
        }
        if let Some(current) = current {
            assert!(held.live(now).is_some(), "{current} is live, but nothing is served");
            let waits = held.in_flight && held.awaited;
            assert!(waits || live(held.serving(now)).is_some(), "{current} is live, but clients are refused");
            let end = self.ends[&current].map(|end| end.left(now));
            if let (Some(wake), Some(left), 0) = (wake, end, held.consecutive_failures) {
                // A token that lives shorter than the least time between two
                // attempts expires before the next attempt.
                assert!(
                    wake <= now.boot + left.max(self.policy.retry_base),
                    "asleep until after the expiry of {current}"
                );
            }
        }
        assert!(held.rejected.len() <= 3, "it keeps rejections of leases that it doesn't hold");
        // These must not panic in any state.
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
                // An event may cause an attempt a little later.
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
