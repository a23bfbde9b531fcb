//! A git's report to its helpers that the host refused a token. A forger can
//! send the same report.

use std::time::Duration;

use crate::programs::Git;
use crate::world::{RunResult, Wiring, World, run_with_input};

/// Reports the token that the platform returned last. Returns `None` if it
/// hasn't returned any.
pub fn reject_newest(world: &World, git: &Git) -> Option<RunResult> {
    let asked = world.platform.requests();
    let token = asked.iter().rev().find_map(|one| one.token.as_ref())?;
    let text = format!("protocol=https\nhost={}\nusername=x-access-token\npassword={token}\n\n", world.host.origin());
    let mut command = world.git(git, Wiring::Helper);
    command.args(["credential", "reject"]);
    Some(run_with_input(&mut command, text.as_bytes(), Duration::from_secs(15)))
}
