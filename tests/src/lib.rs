//! The test city: everything around the broker that a test needs, in one
//! process and on loopback only.
//!
//! - [`ledger`]: every token ever minted, and whether it is still alive;
//! - [`platform`]: a scripted platform that mints them, well or badly;
//! - [`git_host`]: a real git host that accepts only live tokens and records
//!   every credential that git or gh shows it;
//! - [`proxy`]: connects the real names, such as `github.com`, to the city;
//! - [`certs`]: the city's own certificate authority;
//! - [`world`]: one of each, with a broker, the shims and an isolated git;
//! - [`traffic`]: agents that work with real gits, and the outcome of each operation;
//! - [`programs`]: finds or builds the real binaries;
//! - [`temp_folder`]: temporary folders whose path is short enough for a socket;
//! - [`strace`], [`small_disk`]: failing system calls and failing disks;
//! - [`wait`]: waiting for a condition, never for a fixed time;
//! - [`docker`]: containers that run against this city;
//!   [`conformance`]: checks whether an image honours the contract;
//! - [`blocks`]: the code blocks of the documents, and how each is run;
//! - [`fleet`]: thousands of refresh machines over simulated days;
//! - [`fuzz`]: for each parser, the properties that hold for any input bytes.
//!
//! All stand-ins run on one runtime of their own ([`serve::runtime`]), so that
//! plain synchronous tests can drive them by handle. Time is never faked. A
//! test shortens it: its tokens live for seconds, and the broker's
//! configuration is in proportion ([`world::config`]).

use std::process::ExitCode;

pub mod blocks;
pub mod certs;
pub mod conformance;
pub mod docker;
pub mod fleet;
pub mod fuzz;
pub mod git_host;
pub mod ledger;
pub mod platform;
pub mod programs;
pub mod proxy;
pub mod serve;
pub mod small_disk;
pub mod strace;
pub mod temp_folder;
pub mod traffic;
pub mod wait;
pub mod world;

/// Unwraps the options of a program. If they are invalid, prints the problem
/// and the usage.
///
/// # Errors
/// The exit status to end with.
pub fn or_usage<T>(options: Result<T, String>, program: &str, usage: &str) -> Result<T, ExitCode> {
    options.map_err(|problem| {
        eprintln!("{program}: {problem}\n\n{usage}");
        ExitCode::from(2)
    })
}

pub use molecule_test_kit::{Ability, can, machine_tool, only_in_full_run, program, reachable, skip};
