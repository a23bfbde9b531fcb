//! Chaos, by a seed. Real gits work while the daemon is killed and stopped, its
//! system calls fail, its descriptors, its memory and the disks that it writes
//! to run out, its boot clock jumps, the platform fails in every possible way,
//! bearers rotate, tokens are rejected, the configuration is reloaded, and
//! strangers occupy the socket. See [`trouble`].
//!
//! An operation may fail only if that couldn't be prevented: there was no live
//! token for it, because the platform was down, and the error message said so.
//! [`judge`] defines these excuses.
//!
//! The last third of a run, at most ten minutes, is a calm. Everything
//! continues except what ends the daemon. So the resources of one daemon at the
//! end of the calm can be compared with those at its beginning. See [`holds`].

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
