//! Chaos, by the seed: real gits at work while the daemon is killed and
//! stopped, its system calls fail, its descriptors, its memory and the disks
//! that it writes to run out, its boot clock jumps, the platform fails in every
//! way that it can, bearers rotate, tokens are rejected, the configuration is
//! reloaded and strangers sit on the socket. See [`trouble`].
//!
//! Nothing may fail but what can't be helped: an operation for which no living
//! token was to be had, since the platform was down, and which said so. See
//! [`judge`] for what counts as that.
//!
//! The last third of a run, ten minutes at most, is a calm: all goes on but
//! what ends the daemon, so that what one daemon holds in its end can be
//! compared with what it held in its beginning. See [`holds`].

mod calendar;
mod city;
mod clock;
mod dice;
mod disk;
mod evidence;
mod holds;
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
