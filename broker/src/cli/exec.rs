//! `exec`: becomes a command that has a fresh token in its environment, and no dead token.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;
use molecule_protocol::gh;
use molecule_protocol::request::ClientKind;

use super::{ExitError, Global, token};
use crate::system::environment;
use crate::system::exit::{COMMAND_CANNOT_RUN, COMMAND_NOT_FOUND, COMMAND_NOT_STARTED};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Host or origin of the token [default: the first origin of the credential 'github']
    #[arg(long)]
    pub host: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// # Errors
/// Returns status 125 if there is no token (as env(1), timeout(1) and docker-run(1) for a
/// command that they don't run), 126 if the command can't be run, 127 if it isn't found.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let reply = token::fetch(global, ClientKind::Exec, options.host.as_deref(), COMMAND_NOT_STARTED)?;
    let missing = || {
        ExitError::new(
            COMMAND_NOT_STARTED,
            "incomplete reply from the broker; are client and daemon of the same version?",
        )
    };
    let (secret, host) = (reply.text("password").ok_or_else(missing)?, reply.text("host").ok_or_else(missing)?);
    let (program, arguments) = options.command.split_first().ok_or_else(missing)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for name in gh::TOKEN_VARIABLES {
        if environment::text(name).is_some_and(|value| gh::is_installation_token(value.as_bytes())) {
            command.env_remove(name);
        }
    }
    let host = gh::canonical_host(host.as_bytes());
    command.envs(gh::token_variables(host).map(|name| (name, secret)));
    // GH_HOST may name another host: gh must talk to the one whose token it has.
    if environment::text(gh::HOST_VARIABLE).is_some() || !gh::is_default_host(host) {
        command.env(gh::HOST_VARIABLE, OsStr::from_bytes(host));
    }
    let error = command.exec();
    let status = if error.kind() == io::ErrorKind::NotFound { COMMAND_NOT_FOUND } else { COMMAND_CANNOT_RUN };
    Err(ExitError::new(status, format!("can't run {}: {error}", program.display())))
}
