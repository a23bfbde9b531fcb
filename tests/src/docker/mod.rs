//! Containers against the test city, by a real Docker engine and without any
//! registry: the base images are made of Debian's packages (`docker/base`).
//!
//! Containers share the machine's network, so that the city stays on loopback.
//! Where a name such as `github.com` matters, git goes through the city's
//! [`proxy`](crate::proxy).

mod city;
mod container;
mod image;
mod storm;

use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

pub use self::city::{AGENT, City};
pub use self::container::{Container, Options};
pub use self::image::{FAMILIES, Image, agent, base, checkout, of_family, on_base, root};
pub use self::storm::Storm;
use crate::world::{Ran, run};
use crate::{Ability, can, machine_tool, skip};

/// Long enough for a busy machine; nothing here is meant to take a tenth.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether an engine answers.
pub fn engine() -> bool {
    static ENGINE: OnceLock<bool> = OnceLock::new();
    *ENGINE.get_or_init(|| {
        let asked = machine_tool("docker").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    })
}

/// Whether containers can be tested here; says so where not.
pub fn available(what: &str) -> bool {
    if !engine() {
        skip(&format!("{what}: no Docker engine answers here"));
        return false;
    }
    // The configurations that it mounts are given to an agent.
    can(&[Ability::GiveAway])
}

/// The engine's own program.
#[track_caller]
pub fn docker(arguments: &[&str]) -> Ran {
    run(machine_tool("docker").args(arguments), Duration::from_secs(300))
}
