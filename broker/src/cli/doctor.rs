//! `doctor`: every check on a line, and what to do about what isn't good.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;

use super::{Fault, Global, launch};
use crate::config::Env;
use crate::doctor::{Finding, Level, Scene, examine};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// # Errors
/// None; the exit status says whether all is good.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, Fault> {
    let scene = Scene {
        env: Env::from_os(std::env::vars_os()),
        config: launch::config(global),
        socket: launch::client_socket(global),
    };
    let findings = examine(&scene);
    if options.json {
        let json = serde_json::to_string(&findings).map_err(|error| Fault::new(1, error))?;
        println!("{json}");
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        findings.iter().for_each(|finding| println!("{}", line(finding, colours)));
    }
    let good = findings.iter().all(|finding| finding.level == Level::Ok);
    Ok(ExitCode::from(u8::from(!good)))
}

fn line(finding: &Finding, colours: bool) -> String {
    let (word, colour) = match finding.level {
        Level::Ok => ("ok  ", 32),
        Level::Warn => ("WARN", 33),
        Level::Fail => ("FAIL", 31),
    };
    let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.into() };
    let Finding { check, what, remedy, .. } = finding;
    let remedy = if remedy.is_empty() { String::new() } else { format!("; remedy: {remedy}") };
    format!("{word} {check:<13} {what}{remedy}")
}
