//! The benchmark: our shim and our daemon beside git's own credential-cache,
//! the least possible client and a bare C server, and git and gh with and
//! without us, in one run and interleaved, so that what counts, the ratios,
//! holds on any machine. It judges nothing by its exit status.
//!
//! `bench [--quick] [get] [git] [gh] [load]`: all parts where none is named.

mod calls;
mod gh;
mod load;
mod peers;
mod stats;
mod whole;

use std::env;
use std::process::ExitCode;

/// What to measure.
pub(crate) struct Choice {
    /// With so few rounds that the figures say little.
    pub(crate) quick: bool,
    parts: Vec<String>,
}

impl Choice {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        const PARTS: [&str; 4] = ["get", "git", "gh", "load"];
        let (options, parts): (Vec<String>, Vec<String>) =
            arguments.iter().cloned().partition(|argument| argument == "--quick");
        match parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
            None => Ok(Self { quick: !options.is_empty(), parts }),
            Some(other) => Err(format!("{other} isn't a part; usage: bench [--quick] [{}]", PARTS.join("] ["))),
        }
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match Choice::parse(&arguments).and_then(|choice| peers::Peers::start()?.compare(&choice)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}
