//! The daemon's connection to the runner process.
//!
//! After its start the daemon is in a sandbox and can't start programs. The
//! runner process (`crate::runner`) does so on request. The daemon names what
//! is to be done; the runner looks up in its own configuration what that is,
//! so that a daemon that was taken over can't start anything else.

mod client;
pub mod wire;

pub use client::{RunnerClient, start_runner};
pub use wire::RunnerRequest;
