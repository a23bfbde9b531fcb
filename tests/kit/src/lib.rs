//! Code that the tests of every crate share.
//!
//! - [`start`]: commands that inherit none of the caller's git variables;
//! - [`ability`]: abilities of this machine, each tested by trying it;
//! - [`reach`]: copies of programs in places where every user can run them.

pub mod ability;
pub mod reach;
pub mod start;

pub use ability::{Ability, can};
pub use reach::reachable;
pub use start::{machine_tool, program};

/// Prints that a check is skipped, and why: a check that can't run here must
/// not look like a pass. `tests/run` counts these lines.
pub fn skip(reason: &str) {
    println!("SKIP: {reason}");
}
