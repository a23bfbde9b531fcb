//! `supervise`: the container's entrypoint, and `plan`, which prints the few values of the
//! configuration that it needs. So the supervisor never holds the configuration itself.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::{ExitError, Global, launch};
use crate::supervise::{self, LaunchPlan, log, plan};
use crate::system::exit::{BAD_CONFIGURATION, COMMAND_NOT_STARTED};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Run the command as this user, and serve credentials to it
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The command and its arguments; without one, supervise until SIGTERM
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Clone, Debug, Args)]
pub struct PlanOptions {
    #[arg(long)]
    pub user: Option<String>,
}

/// # Errors
/// Returns status 125 if the supervisor can't run at all.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let mut daemon: Vec<OsString> = Vec::new();
    let mut flag = |name: &str, value: Option<OsString>| {
        daemon.extend(value.into_iter().flat_map(|value| [OsString::from(name), value]));
    };
    flag("--config", global.config.clone().map(Into::into));
    flag("--socket", global.socket.clone().map(Into::into));
    flag("--log", global.log.clone().map(Into::into));
    flag("--user", options.user.clone().map(Into::into));
    supervise::become_supervisor(&daemon, options.user.as_deref(), &options.command)
        .map_err(|error| ExitError::new(COMMAND_NOT_STARTED, error))
}

/// # Errors
/// Returns status 2 for a bad configuration.
pub fn plan(global: &Global, options: &PlanOptions) -> Result<ExitCode, ExitError> {
    let user = options.user.as_deref();
    let config = launch::config_for(global, user).map_err(|problems| ExitError::new(BAD_CONFIGURATION, problems))?;
    log::set_format(config.log.format);
    // This process may be another user from here on.
    let daemon_user = plan::daemon_user(&config, user);
    let plan = LaunchPlan::from_config(&config, daemon_user).to_string();
    // A write fails only if the supervisor that asked is gone.
    let _ = io::stdout().write_all(plan.as_bytes());
    Ok(ExitCode::SUCCESS)
}
