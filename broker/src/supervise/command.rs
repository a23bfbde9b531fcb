//! Starts the command that the container exists to run.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;

use molecule_protocol::gh;
use nix::unistd::Pid;

use super::plan::CommandEnvironment;
use super::{exec_stage, log};
use crate::git_config::variables::{self, LONGEST};
use crate::system::environment;

pub fn start(argv: &[OsString], user: &str, added: &CommandEnvironment) -> io::Result<Pid> {
    let mut command = exec_stage::for_command(user, argv);
    // gh would prefer the provision-time token in its environment, which expires within the
    // hour. The daemon keeps that token as its fallback.
    for name in gh::GITHUB_VARIABLES {
        command.env_remove(name);
    }
    command.envs(added.variables.iter().map(|(name, value)| (name, value)));
    command.envs(git_variables(added));
    // In its own process group, so that it can be the terminal's foreground group.
    let child = command.process_group(0).spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
}

/// Returns git's settings as environment variables, or nothing if they are too long. Without the
/// variables git still reads its configuration files, but a command whose environment exceeds
/// the kernel's limit can't be started at all.
fn git_variables(added: &CommandEnvironment) -> Vec<(String, OsString)> {
    let changed = variables::append_settings(&added.git, environment::raw);
    let longest = changed.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    if longest <= LONGEST {
        return changed;
    }
    log::warn(&format!(
        "git's settings would take {longest} bytes of the command's environment and are left out, since {LONGEST} is \
         the limit; write them to a file with: molecule-broker setup-git --system"
    ));
    Vec::new()
}
