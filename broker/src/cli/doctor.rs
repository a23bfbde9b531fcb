//! `doctor`: every check on a line, and what to do about what isn't good.

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
/// None; the exit status says whether all is good.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let load = |daemons: Option<&Path>| launch::config(&with_file(global, daemons));
    let findings = examine(environment::all(), launch::client_socket(global), &load);
    if options.json {
        let json = serde_json::to_string(&findings).map_err(|error| ExitError::new(FAILED, error))?;
        println!("{json}");
    } else {
        let look = Look::of_stdout();
        findings.iter().for_each(|finding| println!("{}", line(finding, look)));
    }
    let good = findings.iter().all(|finding| finding.level == Level::Ok);
    Ok(ExitCode::from(u8::from(!good)))
}

/// The file that the daemon reads, where none is named here and this user can
/// read it.
fn with_file(global: &Global, daemons: Option<&Path>) -> Global {
    let named = global.config.is_some() || environment::os("MOLECULE_BROKER_CONFIG").is_some();
    let file = daemons.filter(|file| !named && trust::read(file, geteuid()).is_ok());
    Global { config: file.map(Path::to_owned).or_else(|| global.config.clone()), ..global.clone() }
}

fn line(finding: &Finding, look: Look) -> String {
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
    // On a line of its own and unbroken, so that it can be copied.
    let indent = " ".repeat(COLUMN);
    format!("{word} {check:<13} {}\n{indent}{remedy}", look.fold(&format!("{what}; remedy:"), COLUMN))
}
