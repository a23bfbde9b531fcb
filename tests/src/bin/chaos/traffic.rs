//! The agents: each works on a private repository with a real git, by helper or
//! by askpass, one of them with git-lfs too and one with gh, and now and then
//! asks for a token as a script does.

use std::thread;
use std::time::{Duration, SystemTime};

use molecule_tests::ledger::Verdict;
use molecule_tests::traffic::{Agent, failure};
use molecule_tests::world::Wiring;

use crate::dice::Dice;

/// What an agent does beside git's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skill {
    Git,
    Lfs,
    Gh,
}

/// Until `stopped` says so.
pub(crate) fn work(mut agent: Agent<'_>, mut dice: Dice, skill: Skill, stopped: impl Fn() -> bool) {
    let mut works = true;
    while !stopped() {
        // Who was just refused asks again no faster than people do.
        thread::sleep(if works { Duration::ZERO } else { dice.millis(200, 800) });
        agent.wiring = if dice.below(3) == 0 { Wiring::Askpass } else { Wiring::Helper };
        works = match dice.below(if skill == Skill::Git { 8 } else { 10 }) {
            0 => token(&agent),
            more @ 8.. if skill == Skill::Gh => agent.gh(more == 8),
            1 => agent.clone_anew(),
            _ if !agent.has_clone() => agent.clone_anew(),
            2 | 3 => agent.fetch(),
            4 => agent.list(),
            8 => agent.push_object(),
            // What was never uploaded can't be downloaded.
            9 if agent.is_in_step() => agent.pull_object(),
            _ => agent.push(),
        };
    }
}

/// It may die between being printed and being looked at: whether it was dead
/// when it was handed out, the judge finds in the audit.
fn token(agent: &Agent<'_>) -> bool {
    let began = SystemTime::now();
    let ran = agent.world.broker.control(&["token", "--host", agent.host()]);
    let worth = agent.world.ledger.verdict(ran.stdout.trim());
    let failure = match (ran.success(), worth) {
        (true, Verdict::Live | Verdict::Expired) => None,
        (true, other) => Some(format!("it printed a token that is {other:?}")),
        (false, _) => failure(&ran),
    };
    agent.note("token", began, ran.took, failure)
}
