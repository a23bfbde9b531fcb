//! The command that the container is there for.

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
    let mut command = exec_stage::command(user, argv);
    // With the provision-time token in its environment gh would use that one,
    // which is dead within the hour. The daemon keeps it as its fallback.
    for name in gh::GITHUB {
        command.env_remove(name);
    }
    command.envs(added.variables.iter().map(|(name, value)| (name, value)));
    command.envs(git_variables(added));
    // A group of its own, so that a terminal can be its own too.
    let child = command.process_group(0).spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
}

/// Without them git still has its files, but a command that is given more than
/// the kernel takes can't be started at all.
fn git_variables(added: &CommandEnvironment) -> Vec<(String, OsString)> {
    let changed = variables::appended(&added.git, environment::raw);
    let longest = changed.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    if longest <= LONGEST {
        return changed;
    }
    log::warn(&format!(
        "git's settings would take {longest} bytes of the command's environment and are left out, since {LONGEST} is \
         the most; write them by: molecule-broker setup-git --system"
    ));
    Vec::new()
}
