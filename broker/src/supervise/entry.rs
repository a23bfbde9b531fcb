//! Entry points of the supervisor and of the exec stages. `supervise` replaces itself with the
//! same program under the argument `@supervise`, and [`run_stage`] dispatches on that argument.

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

/// Replaces this process with the supervisor, so that the supervisor's memory holds nothing left
/// over from parsing the command line.
///
/// # Errors
/// Returns an error if this process may not switch to the user or can't execute itself again.
pub fn become_supervisor(daemon: &[OsString], user: Option<&str>, command: &[OsString]) -> Result<ExitCode, String> {
    if let Some(name) = user {
        let user = users::user(name).map_err(|error| format!("--user: {error}"))?;
        if user.uid != geteuid() && !geteuid().is_root() {
            return Err(format!("--user {name}: only root can start a command as another user"));
        }
    }
    let mut supervisor = this_program(SUPERVISE);
    supervisor.arg(user.unwrap_or_default()).arg(daemon.len().to_string()).args(daemon).args(command);
    Err(format!("can't start the supervisor: {}", supervisor.exec()))
}

/// Runs the supervisor or an exec stage if the first argument names one.
#[must_use]
pub fn run_stage(args: &[OsString]) -> Option<Result<ExitCode, ExitError>> {
    let (word, rest) = args.get(1..)?.split_first()?;
    let result = match word.to_str()? {
        SUPERVISE => supervise(rest),
        DAEMON => exec_stage::become_daemon(rest),
        COMMAND => exec_stage::become_command(rest),
        _ => return None,
    };
    Some(result.map_err(|(status, message)| ExitError::new(status, message)))
}

fn supervise(args: &[OsString]) -> Result<ExitCode, StageError> {
    let malformed = || (COMMAND_NOT_STARTED, "this command is for molecule-broker's own use".to_owned());
    let [user, count, rest @ ..] = args else { return Err(malformed()) };
    let count = count.to_str().and_then(|count| count.parse().ok()).ok_or_else(malformed)?;
    let (daemon, command) = rest.split_at_checked(count).ok_or_else(malformed)?;
    harden::take_name();
    let supervisor = Supervisor::new(daemon.to_vec(), user.to_string_lossy().into_owned(), command.to_vec());
    let status = supervisor.and_then(Supervisor::run);
    status.map(ExitCode::from).map_err(|error| (COMMAND_NOT_STARTED, format!("supervise can't continue: {error}")))
}
