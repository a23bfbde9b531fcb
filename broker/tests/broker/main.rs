//! Tests of the broker's binary between a scripted platform and a raw socket,
//! and of what the documents say about it.
//!
//! All of them are one program, because every further program costs a link and
//! a build of [`kit`] after every edit. The tests with real git and gh and a
//! stand-in for the whole outside world are in the crate `molecule-tests`.

#![allow(clippy::disallowed_methods, reason = "a test has clocks and an environment of its own")]
#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

mod docs;
mod doctor;
mod house;
mod interface;
mod kit;
mod layers;
mod lease_memory;
mod metrics;
mod neighbours;
mod pages;
mod people;
mod rules;
mod sandbox;
mod sandbox_refusals;
mod setup_git;
mod sinks;
mod supervise;
mod supervise_faults;
mod supervise_restart;
