//! `config`: what holds, and where each value came from.

use std::process::ExitCode;

use super::{ExitError, Global, launch};
use crate::config::report;
use crate::system::exit::BAD_CONFIGURATION;

/// # Errors
/// Status 2 with all that is wrong.
pub fn run(global: &Global) -> Result<ExitCode, ExitError> {
    let config = launch::config(global).map_err(|problems| ExitError::new(BAD_CONFIGURATION, problems))?;
    print!("{}", report::report(&config));
    for warning in &config.warnings {
        eprintln!("molecule-broker: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
