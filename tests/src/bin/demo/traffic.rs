//! The agents. Each clones, fetches and pushes a private repository over HTTPS
//! in a loop, with a real git and the password that it is given. Twice a minute
//! a push is larger than git sends in one piece.

use std::time::{Duration, Instant};

use molecule_tests::traffic::Agent;

const ROUNDS_PER_CLONE: usize = 4;
const LARGE_EVERY: Duration = Duration::from_secs(25);

/// Works until `stopped` returns true.
pub(crate) fn work(mut agent: Agent<'_>, stopped: impl Fn() -> bool) {
    let mut large_due = Instant::now();
    while !stopped() {
        if !agent.clone_anew() {
            continue;
        }
        if Instant::now() >= large_due {
            agent.push_large();
            large_due = Instant::now() + LARGE_EVERY;
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
