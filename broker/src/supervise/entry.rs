//! How the supervisor begins: `supervise` replaces itself by the same program
//! under the word `@supervise`, and the exec stages are told apart here.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use nix::unistd::geteuid;

use super::Supervisor;
use super::exec_stage::{self, COMMAND, DAEMON, StageError, this_program};
use crate::system::exit::COMMAND_NOT_STARTED;
use crate::system::exit::ExitError;
use crate::system::{harden, users};

const SUPERVISE: &str = "@supervise";

/// Becomes the supervisor, whose memory then holds nothing of what it took to
/// read the command line.
///
/// # Errors
/// The user can't be taken on, or this program can't be started again.
pub fn become_supervisor(daemon: &[OsString], user: Option<&str>, command: &[OsString]) -> Result<ExitCode, String> {
    if let Some(name) = user {
        let user = users::user(name).map_err(|error| format!("--user: {error}"))?;
        if user.uid != geteuid() && !geteuid().is_root() {
            return Err(format!("--user {name}: only root can start a command as another user"));
        }
    }
    let mut again = this_program(SUPERVISE);
    again.arg(user.unwrap_or_default()).arg(daemon.len().to_string()).args(daemon).args(command);
    Err(format!("can't start the supervisor: {}", again.exec()))
}

/// One of these programs, if the arguments ask for one.
#[must_use]
pub fn run_stage(args: &[OsString]) -> Option<Result<ExitCode, ExitError>> {
    let (word, rest) = args.get(1..)?.split_first()?;
    let done = match word.to_str()? {
        SUPERVISE => supervise(rest),
        DAEMON => exec_stage::become_daemon(rest),
        COMMAND => exec_stage::become_command(rest),
        _ => return None,
    };
    Some(done.map_err(|(status, message)| ExitError::new(status, message)))
}

fn supervise(args: &[OsString]) -> Result<ExitCode, StageError> {
    let malformed = || (COMMAND_NOT_STARTED, "this command is for molecule-broker itself".to_owned());
    let [user, count, rest @ ..] = args else { return Err(malformed()) };
    let count = count.to_str().and_then(|count| count.parse().ok()).ok_or_else(malformed)?;
    let (daemon, command) = rest.split_at_checked(count).ok_or_else(malformed)?;
    harden::take_name();
    let supervisor = Supervisor::new(daemon.to_vec(), user.to_string_lossy().into_owned(), command.to_vec());
    let status = supervisor.and_then(Supervisor::run);
    status.map(ExitCode::from).map_err(|error| (COMMAND_NOT_STARTED, format!("supervise can't go on: {error}")))
}
