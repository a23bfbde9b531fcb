//! The planned trouble: just after a refresh, the platform goes down for half
//! of a token's life; later a git rejects the token that is being served.

use std::time::{Duration, Instant};

use molecule_tests::programs::Git;
use molecule_tests::traffic::reject_newest;
use molecule_tests::wait::poll;
use molecule_tests::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Calm,
    AwaitingRefresh,
    Outage {
        since: Instant,
    },
    Recovered,
    /// The token was rejected when the platform had seen this many requests.
    Rejected {
        since: Instant,
        asked: usize,
    },
    Over,
}

#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) stage: Stage,
    outage_at: Duration,
    outage_length: Duration,
    reject_at: Duration,
    asked_before: usize,
    /// The time until the refresh that the rejection caused.
    pub(crate) rejection: Option<Result<Duration, String>>,
    pub(crate) outages: usize,
}

impl Trouble {
    pub(crate) fn planned(length: Duration, life: Duration, calm: bool) -> Self {
        Self {
            stage: if calm { Stage::Over } else { Stage::Calm },
            outage_at: length.mul_f64(0.2),
            outage_length: life / 2,
            reject_at: length.mul_f64(0.65),
            asked_before: 0,
            rejection: None,
            outages: 0,
        }
    }

    /// Goes to the next stage when it is due. Returns the text to print, if
    /// any.
    pub(crate) fn step(&mut self, elapsed: Duration, world: &World, git: &Git) -> Option<String> {
        match self.stage {
            Stage::Calm if elapsed >= self.outage_at => {
                self.asked_before = world.platform.request_count();
                self.stage = Stage::AwaitingRefresh;
                None
            }
            Stage::AwaitingRefresh if world.platform.request_count() > self.asked_before => {
                world.platform.refuse_connections();
                self.outages += 1;
                self.stage = Stage::Outage { since: Instant::now() };
                Some(format!("the platform goes down for {:?}", self.outage_length))
            }
            Stage::Outage { since } if since.elapsed() >= self.outage_length => {
                world.platform.accept_connections();
                self.stage = Stage::Recovered;
                Some(String::from("the platform is up again"))
            }
            Stage::Recovered if elapsed >= self.reject_at => {
                let asked = world.platform.request_count();
                if !reject_newest(world, git).is_some_and(|ran| ran.success()) {
                    return None;
                }
                self.stage = Stage::Rejected { since: Instant::now(), asked };
                Some(String::from("a git rejects the current token"))
            }
            Stage::Rejected { since, asked } => {
                let answer =
                    poll(Duration::from_secs(3), || (world.platform.request_count() > asked).then(|| since.elapsed()));
                self.rejection =
                    Some(answer.ok_or_else(|| String::from("the rejected token caused no refresh within 3 s")));
                self.stage = Stage::Over;
                answer.map(|took| format!("the broker requested another token after {took:.0?}"))
            }
            _ => None,
        }
    }
}
