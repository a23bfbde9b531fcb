//! The agents. Each works on a private repository with a real git, by helper or
//! by askpass; one of them also uses git-lfs, one gh. Now and then they ask for
//! a token, as a script does.

use std::thread;
use std::time::{Duration, SystemTime};

use molecule_tests::ledger::TokenState;
use molecule_tests::traffic::{Agent, failure};
use molecule_tests::world::Wiring;

use crate::dice::Dice;

/// Tool that an agent uses besides git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skill {
    Git,
    Lfs,
    Gh,
}

/// Works until `stopped` returns true.
pub(crate) fn work(mut agent: Agent<'_>, mut dice: Dice, skill: Skill, stopped: impl Fn() -> bool) {
    let mut works = true;
    while !stopped() {
        // After a refusal, a client asks again no faster than a person.
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
            // An object can only be downloaded after its upload.
            9 if agent.is_in_step() => agent.pull_object(),
            _ => agent.push(),
        };
    }
}

/// Asks for a token, as a script does. It may expire after it is printed and
/// before it is checked. The judge sees in the audit log whether it was dead
/// when it was handed out.
fn token(agent: &Agent<'_>) -> bool {
    let began = SystemTime::now();
    let ran = agent.world.broker.control(&["token", "--host", agent.host()]);
    let state = agent.world.ledger.state_of(ran.stdout.trim());
    let failure = match (ran.success(), state) {
        (true, TokenState::Live | TokenState::Expired) => None,
        (true, other) => Some(format!("it printed a token that is {other:?}")),
        (false, _) => failure(&ran),
    };
    agent.note("token", began, ran.took, failure)
}
