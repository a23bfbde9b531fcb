//! The benchmark. It compares our shim and our daemon with git's own
//! credential-cache, the least possible client and a bare C server, and git and
//! gh with and without us. Everything is interleaved in one run, because the
//! ratios are the result and hold on any machine. Missed limits don't change
//! its exit status.
//!
//! `bench [--quick] [get] [git] [gh] [load]`: runs all parts if none is named.

mod calls;
mod gh;
mod load;
mod peers;
mod stats;
mod whole;

use std::env;
use std::process::ExitCode;

/// The parts to measure.
pub(crate) struct Choice {
    /// With so few rounds that the figures mean little.
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
