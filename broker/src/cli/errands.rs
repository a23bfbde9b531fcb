//! The hidden commands with which the daemon starts this program again: `errands`, the runner
//! process, and `keep`, which writes a token file as the agent.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use super::{ExitError, Global, launch};
use crate::credential::secret::MAX_SECRET;
use crate::runner::{file, serve};
use crate::system::exit::FAILED;
use crate::system::inherited_fds;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// User to serve, as for serve
    #[arg(long)]
    pub user: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct KeepOptions {
    /// File to write
    pub path: PathBuf,
}

/// # Errors
/// Returns status 1. The daemon has already reported the same problems of the configuration.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    // The daemon may have inherited its listening socket and leases from the supervisor.
    inherited_fds::close_above(2);
    let (global, user) = (global.clone(), options.user.clone());
    let read = move || launch::config_for(&global, user.as_deref()).map_err(|problems| problems.to_string());
    let config = read().map_err(|problems| ExitError::new(FAILED, problems))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ExitError::new(FAILED, error))?;
    runtime.block_on(serve::serve(config, Box::new(read))).map_err(|error| ExitError::new(FAILED, error))?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// Returns status 1 if the file can't be written.
pub fn keep(options: &KeepOptions) -> Result<ExitCode, ExitError> {
    let mut token = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
    let read = std::io::stdin().lock().take(MAX_SECRET as u64 + 1).read_to_end(&mut token);
    read.map_err(|error| ExitError::new(FAILED, error))?;
    if token.len() > MAX_SECRET {
        return Err(ExitError::new(FAILED, format!("a token has at most {MAX_SECRET} bytes, and this one has more")));
    }
    file::write(&options.path, &token).map_err(|error| ExitError::new(FAILED, error))?;
    Ok(ExitCode::SUCCESS)
}
