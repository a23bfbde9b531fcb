//! Chaos, by the seed: real gits at work while the daemon is killed and
//! stopped, the platform fails in every way that it can, bearers rotate, tokens
//! are rejected, the configuration is reloaded and strangers sit on the socket.
//!
//! Nothing may fail but what can't be helped: an operation for which no living
//! token was to be had, since the platform was down, and which said so. See
//! [`judge`] for what counts as that.

mod calendar;
mod city;
mod dice;
mod evidence;
mod judge;
mod options;
mod report;
mod run;
mod strangers;
mod traffic;
mod trouble;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    match options::parse(env::args().skip(1)) {
        Ok(options) => run::run(&options),
        Err(problem) => {
            eprintln!("chaos: {problem}\n\n{}", options::USAGE);
            ExitCode::from(2)
        }
    }
}
