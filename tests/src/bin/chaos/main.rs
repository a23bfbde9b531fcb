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

use std::process::ExitCode;

fn main() -> ExitCode {
    options::given().map_or_else(|status| status, |options| run::run(&options))
}
