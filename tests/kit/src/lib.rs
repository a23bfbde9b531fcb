//! What the tests of every crate share.
//!
//! - [`start`]: commands that inherit nothing of the caller's git;
//! - [`ability`]: what this machine allows, each found out by trying it;
//! - [`reach`]: programs where every user can run them.

pub mod ability;
pub mod reach;
pub mod start;

pub use ability::{Ability, can};
pub use reach::reachable;
pub use start::{machine_tool, program};

/// Prints that a check isn't made, and why: what can't be tested here must not
/// read as a pass. `tests/run` counts these lines.
pub fn skip(reason: &str) {
    println!("SKIP: {reason}");
}
