//! `config`: the effective configuration, and where each value came from.

use std::process::ExitCode;

use super::{ExitError, Global, launch};
use crate::config::report;
use crate::system::exit::BAD_CONFIGURATION;

/// # Errors
/// Returns status 2 and all problems of the configuration.
pub fn run(global: &Global) -> Result<ExitCode, ExitError> {
    let config = launch::config(global).map_err(|problems| ExitError::new(BAD_CONFIGURATION, problems))?;
    print!("{}", report::report(&config));
    for warning in &config.warnings {
        eprintln!("molecule-broker: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
