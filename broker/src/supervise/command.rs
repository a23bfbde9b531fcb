//! The command that the container is there for.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;

use nix::unistd::Pid;

use super::stage;

/// Frozen at provisioning and dead within the hour: with these in its
/// environment gh asks nobody else. The daemon keeps them as its fallback.
const FROZEN: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

pub fn start(argv: &[OsString], user: &str, environment: &[(String, String)]) -> io::Result<Pid> {
    let mut command = stage::command(user, argv);
    for name in FROZEN {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    // A group of its own, so that a terminal can be its own too.
    let child = command.process_group(0).spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
}
