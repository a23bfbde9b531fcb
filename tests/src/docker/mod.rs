//! Containers that run against the test city, on a real Docker engine and
//! without any registry: the base images are built from Debian's packages
//! (`docker/base`).
//!
//! Containers share the machine's network, so that the city stays on loopback.
//! If a test needs a name such as `github.com`, git uses the city's
//! [`proxy`](crate::proxy).

mod city;
mod container;
mod image;
mod storm;

use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

pub use self::city::{AGENT, City};
pub use self::container::{Container, ExecOptions};
pub use self::image::{
    FAMILIES, Image, agent_image, base_image, checkout_mounts, family_image, image_on_base, repository_root,
};
pub use self::storm::KillStorm;
use crate::world::{RunResult, run};
use crate::{Ability, can, machine_tool, skip};

/// Long enough for a busy machine. Nothing here should take a tenth of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// True if a Docker engine answers.
pub fn engine_answers() -> bool {
    static ENGINE: OnceLock<bool> = OnceLock::new();
    *ENGINE.get_or_init(|| {
        let asked = machine_tool("docker").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    })
}

/// Tells whether containers can be tested here, and prints a SKIP line if not.
pub fn can_run_containers(what: &str) -> bool {
    if !engine_answers() {
        skip(&format!("{what}: no Docker engine answers here"));
        return false;
    }
    // The configurations that the containers mount are owned by the agent.
    can(&[Ability::GiveAway])
}

/// Runs the docker command.
#[track_caller]
pub fn docker(arguments: &[&str]) -> RunResult {
    run(machine_tool("docker").args(arguments), Duration::from_secs(300))
}
