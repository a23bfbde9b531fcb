//! The daemon's connection to the runner process.
//!
//! After its start the daemon is in a sandbox and can't start programs. The runner process
//! (`crate::runner`) starts them on request. A request says that there is a new token, which event
//! happened, or which credential to fetch. The runner looks up in its own configuration which
//! program that means, so a compromised daemon can't start anything else.

mod client;
pub mod wire;

pub use client::{RunnerClient, start_runner};
pub use wire::RunnerRequest;
