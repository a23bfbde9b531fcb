//! The agents: each clones, fetches and pushes a private repository over
//! HTTPS, in a loop, with a real git and whatever password it is given.

use molecule_tests::traffic::Agent;

const ROUNDS_PER_CLONE: usize = 4;

/// Until `stopped` says so.
pub(crate) fn work(mut agent: Agent<'_>, stopped: impl Fn() -> bool) {
    while !stopped() {
        if !agent.clone_anew() {
            continue;
        }
        for _ in 0..ROUNDS_PER_CLONE {
            if stopped() {
                break;
            }
            agent.push();
            agent.fetch();
        }
    }
}
