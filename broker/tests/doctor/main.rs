//! `doctor` with the real git, the real daemon, and a platform on a thread:
//! each fault is made, found, named with its remedy, and gone after that.

#![allow(clippy::disallowed_methods, reason = "a test has clocks and an environment of its own")]
#![allow(clippy::unwrap_used, reason = "this is all test")]

mod faults;
#[path = "../kit/mod.rs"]
mod kit;
mod remedies;
mod situations;
mod terminals;
