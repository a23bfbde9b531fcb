//! `doctor`: every check on a line, and what to do about what isn't good.

use std::process::ExitCode;

use clap::Args;

use super::terminal::{Colour, Look};
use super::{Fault, Global, launch};
use crate::doctor::{Finding, Level, Scene, examine};
use crate::environment;

/// Where the words begin.
const COLUMN: usize = 19;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// # Errors
/// None; the exit status says whether all is good.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, Fault> {
    let scene =
        Scene { env: environment::all(), config: launch::config(global), socket: launch::client_socket(global) };
    let findings = examine(&scene);
    if options.json {
        let json = serde_json::to_string(&findings).map_err(|error| Fault::new(1, error))?;
        println!("{json}");
    } else {
        let look = Look::of_stdout();
        findings.iter().for_each(|finding| println!("{}", line(finding, look)));
    }
    let good = findings.iter().all(|finding| finding.level == Level::Ok);
    Ok(ExitCode::from(u8::from(!good)))
}

fn line(finding: &Finding, look: Look) -> String {
    let (word, colour) = match finding.level {
        Level::Ok => ("ok  ", Colour::Good),
        Level::Warn => ("WARN", Colour::Doubtful),
        Level::Fail => ("FAIL", Colour::Bad),
    };
    let word = look.paint(colour, word);
    let Finding { check, what, remedy, .. } = finding;
    let remedy = if remedy.is_empty() { String::new() } else { format!("; remedy: {remedy}") };
    format!("{word} {check:<13} {}", look.fold(&format!("{what}{remedy}"), COLUMN))
}
