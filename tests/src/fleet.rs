//! A fleet in simulated time: the real refresh machine of each container, and
//! one platform that counts its requests per minute.
//!
//! Nothing sleeps, and neither wall time nor boot time is read: the same seed
//! gives the same day. The name of a token contains the instant at which it
//! really expires. So the platform's truth decides whether a machine serves a
//! dead token, not the machine itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use molecule_broker::credential::lease::{Class, Failure, Fresh, SourceKind};
use molecule_broker::credential::secret::Secret;
use molecule_broker::refresh::{Event, InitialState, Machine, RefreshPolicy, Serving};
use molecule_broker::system::time::{Deadline, Moment};

const MINUTE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(60 * 60);
/// Time before expiry at which the platform replaces its cached token.
const RENEWED_BEFORE: Duration = Duration::from_secs(5 * 60);
/// The longest cycle of the default policy.
const CYCLE_MINUTES: u64 = 47;

#[derive(Clone, Debug)]
pub struct Fleet {
    pub policy: RefreshPolicy,
    /// Number of containers. All start within the first minute.
    pub containers: u32,
    pub minutes: u64,
    pub upstream: Upstream,
    /// Minutes in which the platform answers with an error.
    pub outage: Option<Range<u64>>,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A new token for each call.
    MintsPerCall,
    /// One token for all containers, renewed at the first request in its last
    /// five minutes.
    SharesOne,
}

#[derive(Clone, Debug)]
pub struct FleetReport {
    pub containers: u32,
    /// Number of requests that reached the platform in each minute.
    pub load: Vec<u32>,
    /// Time that containers spent without a live token, after their first
    /// token.
    pub without: Duration,
    /// Number of times that a dead token was served.
    pub dead_served: u64,
}

impl Fleet {
    #[must_use]
    pub fn of(containers: u32, upstream: Upstream) -> Self {
        Self { policy: RefreshPolicy::default(), containers, minutes: 24 * 60, upstream, outage: None, seed: 1 }
    }

    #[must_use]
    pub fn with_outage(self, minutes: Range<u64>) -> Self {
        Self { outage: Some(minutes), ..self }
    }

    /// Returns the first minute from which the load should be even: when all
    /// containers have started or, after an outage, when the second cycle
    /// begins.
    #[must_use]
    pub fn even_from(&self) -> u64 {
        self.outage.as_ref().map_or(2, |outage| outage.end + CYCLE_MINUTES)
    }

    #[must_use]
    pub fn run(&self) -> FleetReport {
        let mut chance = Chance(self.seed);
        let mut platform = Platform { minted: 0, shared: None };
        let minutes = usize::try_from(self.minutes).expect("a day has fewer minutes than memory has bytes");
        let mut report = FleetReport {
            containers: self.containers,
            load: vec![0; minutes],
            without: Duration::ZERO,
            dead_served: 0,
        };
        let mut machines = Vec::new();
        let mut timers = BinaryHeap::new();
        for index in 0..self.containers as usize {
            let now = at(MINUTE.mul_f64(chance.draw()));
            let start = InitialState { refreshable: true, ..InitialState::default() };
            let (machine, action) = Machine::new(self.policy.clone(), start, now, chance.draw());
            machines.push(machine);
            timers.extend(action.wake_at.map(|wake| Reverse((wake, index))));
        }
        let end = MINUTE * u32::try_from(self.minutes).expect("fits as a day does");
        while let Some(Reverse((wake, index))) = timers.pop().filter(|Reverse((wake, _))| *wake < end) {
            let (machine, now) = (&mut machines[index], at(wake));
            report.dead_served += u64::from(serves_dead(machine, now));
            let mut action = machine.on(now, chance.draw(), Event::Due);
            if action.fetch {
                let minute = wake.as_secs() / 60;
                report.load[usize::try_from(minute).expect("below `minutes`")] += 1;
                let down = self.outage.as_ref().is_some_and(|outage| outage.contains(&minute));
                let answer = platform.answer(now, self.upstream, down);
                let ended = machine.held().current.as_ref().and_then(|lease| lease.deadline);
                let generation = machine.held().generation;
                action = machine.on(now, chance.draw(), Event::Fetched(answer));
                if machine.held().generation > generation {
                    report.without += ended.map_or(Duration::ZERO, |ended| wake.saturating_sub(ended.boot));
                }
            }
            timers.extend(action.wake_at.map(|wake| Reverse((wake, index))));
        }
        for machine in &machines {
            report.dead_served += u64::from(serves_dead(machine, at(end)));
            let ended = machine.held().current.as_ref().and_then(|lease| lease.deadline);
            report.without += ended.map_or(end, |ended| end.saturating_sub(ended.boot));
        }
        report
    }
}

impl FleetReport {
    /// Returns the ratio of the busiest minute to the mean one, from this
    /// minute on.
    #[must_use]
    pub fn peak_to_mean(&self, from: u64) -> f64 {
        let load = &self.load[usize::try_from(from).expect("below the number of minutes")..];
        let peak = load.iter().copied().max().unwrap_or_default();
        let sum: u64 = load.iter().copied().map(u64::from).sum();
        f64::from(peak) * load.len() as f64 / sum as f64
    }

    #[must_use]
    pub fn requests_per_container_day(&self) -> f64 {
        let requests: u64 = self.load.iter().copied().map(u64::from).sum();
        let days = self.load.len() as f64 / (24.0 * 60.0);
        requests as f64 / f64::from(self.containers) / days
    }

    /// Returns the share of container time without a live token.
    #[must_use]
    pub fn share_without(&self) -> f64 {
        let all = MINUTE.as_secs_f64() * self.load.len() as f64 * f64::from(self.containers);
        self.without.as_secs_f64() / all
    }
}

struct Platform {
    minted: u64,
    shared: Option<(u64, Duration)>,
}

impl Platform {
    fn answer(&mut self, now: Moment, upstream: Upstream, down: bool) -> Result<Fresh, Failure> {
        if down {
            return Err(Failure::new(Class::Http5xx, "token refresh failed"));
        }
        let kept = self.shared.filter(|(_, end)| *end > now.boot + RENEWED_BEFORE);
        let (number, end) = match (upstream, kept) {
            (Upstream::SharesOne, Some(kept)) => kept,
            _ => {
                self.minted += 1;
                (self.minted, now.boot + LIFE)
            }
        };
        self.shared = Some((number, end));
        Ok(Fresh {
            username: None,
            secret: Secret::token(&format!("ghs_{number}_{}", end.as_nanos())).expect("plain ASCII"),
            deadline: Some(Deadline::after(now, end - now.boot)),
            source: SourceKind::Platform,
        })
    }
}

/// True if the machine serves a token whose name says that it has expired.
fn serves_dead(machine: &Machine, now: Moment) -> bool {
    let Serving::Live(lease) = machine.held().serving(now) else {
        return false;
    };
    let end = lease.secret.expose().rsplit('_').next().and_then(|end| end.parse::<u128>().ok());
    end.is_none_or(|end| end <= now.boot.as_nanos())
}

fn at(boot: Duration) -> Moment {
    const MIDNIGHT: Duration = Duration::from_secs(1_776_000_000);
    Moment { boot, wall: MIDNIGHT + boot }
}

/// SplitMix64: small, seeded, and even enough for a load of millions.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) as f64 / 18_446_744_073_709_551_616.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small enough for every test run. `cargo run --bin fleet` prints the
    /// figures for 100,000 containers.
    const FEW: u32 = 1_000;

    #[test]
    fn every_container_has_a_live_token_while_the_platform_answers() {
        for upstream in [Upstream::MintsPerCall, Upstream::SharesOne] {
            let report = Fleet::of(FEW, upstream).run();
            assert_eq!((report.without, report.dead_served), (Duration::ZERO, 0), "{upstream:?}");
        }
    }

    #[test]
    fn a_fleet_that_started_together_does_not_stay_in_step() {
        let fleet = Fleet::of(FEW, Upstream::MintsPerCall);
        let ratio = fleet.run().peak_to_mean(fleet.even_from());
        // There are 22 requests a minute, so by chance alone the busiest of
        // 1,400 minutes has nearly twice as many.
        assert!(ratio < 2.2, "{ratio}");
    }

    #[test]
    fn a_shared_token_is_requested_about_52_times_a_day() {
        let requests = Fleet::of(FEW, Upstream::SharesOne).run().requests_per_container_day();
        assert!((45.0..60.0).contains(&requests), "{requests}");
    }

    #[test]
    fn no_dead_token_is_served_over_an_outage() {
        for upstream in [Upstream::MintsPerCall, Upstream::SharesOne] {
            let report = Fleet::of(FEW, upstream).with_outage(600..630).run();
            assert_eq!(report.dead_served, 0);
            assert!(report.share_without() < 30.0 / (24.0 * 60.0), "{upstream:?}");
        }
    }
}
