//! `doctor`: one line for each check, with a remedy for each problem.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use nix::unistd::geteuid;

use super::terminal::{Colour, Look};
use super::{ExitError, Global, launch};
use crate::doctor::{Finding, Level, Remedy, examine};
use crate::system::exit::FAILED;
use crate::system::{environment, trust};

/// Column in which the text begins.
const COLUMN: usize = 19;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// # Errors
/// Returns an error only if the JSON can't be made. Findings show in the exit status.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let load = |daemon_file: Option<&Path>| launch::config(&with_daemon_file(global, daemon_file));
    let findings = examine(environment::all(), launch::client_socket(global), &load);
    if options.json {
        let json = serde_json::to_string(&findings).map_err(|error| ExitError::new(FAILED, error))?;
        println!("{json}");
    } else {
        let look = Look::of_stdout();
        findings.iter().for_each(|finding| println!("{}", finding_line(finding, look)));
    }
    let good = findings.iter().all(|finding| finding.level == Level::Ok);
    Ok(ExitCode::from(u8::from(!good)))
}

/// Returns the options with the daemon's configuration file, if none is named here and this user
/// can read it.
fn with_daemon_file(global: &Global, daemon_file: Option<&Path>) -> Global {
    let named = global.config.is_some() || environment::os("MOLECULE_BROKER_CONFIG").is_some();
    let file = daemon_file.filter(|file| !named && trust::read(file, geteuid()).is_ok());
    Global { config: file.map(Path::to_owned).or_else(|| global.config.clone()), ..global.clone() }
}

fn finding_line(finding: &Finding, look: Look) -> String {
    let (word, colour) = match finding.level {
        Level::Ok => ("ok  ", Colour::Good),
        Level::Warn => ("WARN", Colour::Doubtful),
        Level::Fail => ("FAIL", Colour::Bad),
    };
    let word = look.paint(colour, word);
    let Finding { check, what, remedy, .. } = finding;
    let Some(remedy) = remedy else { return format!("{word} {check:<13} {}", look.fold(what, COLUMN)) };
    if look.is_plain() || matches!(remedy, Remedy::Words(_)) {
        return format!("{word} {check:<13} {}", look.fold(&format!("{what}; remedy: {remedy}"), COLUMN));
    }
    // A command is on its own line and isn't folded, so that it can be copied.
    let indent = " ".repeat(COLUMN);
    format!("{word} {check:<13} {}\n{indent}{remedy}", look.fold(&format!("{what}; remedy:"), COLUMN))
}
