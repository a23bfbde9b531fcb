//! The test city: everything around the broker that a test needs, in one
//! process and on loopback only.
//!
//! - [`ledger`]: every token ever minted, and whether it still lives;
//! - [`platform`]: a scripted platform that mints them, well or badly;
//! - [`git_host`]: a real git host that lets in only living tokens and records
//!   every credential it is shown, git's or gh's;
//! - [`proxy`]: leads the real names, such as `github.com`, to it;
//! - [`certs`]: the city's own certificate authority;
//! - [`world`]: one of each with a broker, the shims and an isolated git;
//! - [`traffic`]: agents at work with real gits, and what came of it;
//! - [`programs`]: finds or builds the real binaries;
//! - [`place`]: temporary folders that a socket's path fits into;
//! - [`strace`], [`small_disk`]: system calls and disks that fail;
//! - [`wait`]: waiting for a condition, never for a time;
//! - [`docker`]: containers against this city; [`conformance`]: whether an image
//!   honours the contract;
//! - [`blocks`]: the documents' blocks, and how each is run;
//! - [`fleet`]: thousands of refresh machines over simulated days;
//! - [`fuzz`]: what any bytes at all must come to, for each parser.
//!
//! Stand-ins live on one runtime of their own ([`serve::runtime`]), so plain
//! synchronous tests drive them by handle. Time is never faked: a test makes
//! it short by giving tokens a life of seconds and the broker a configuration
//! in proportion ([`world::config`]).

use std::process::ExitCode;

pub mod blocks;
pub mod certs;
pub mod conformance;
pub mod docker;
pub mod fleet;
pub mod fuzz;
pub mod git_host;
pub mod ledger;
pub mod place;
pub mod platform;
pub mod programs;
pub mod proxy;
pub mod serve;
pub mod small_disk;
pub mod strace;
pub mod traffic;
pub mod wait;
pub mod world;

/// The options of a program, or the status to end with once it is said what is
/// wrong with them.
///
/// # Errors
/// That status.
pub fn or_usage<T>(options: Result<T, String>, program: &str, usage: &str) -> Result<T, ExitCode> {
    options.map_err(|problem| {
        eprintln!("{program}: {problem}\n\n{usage}");
        ExitCode::from(2)
    })
}

pub use molecule_test_kit::{Ability, can, machine_tool, program, reachable, skip};
