//! The broker's own tests: the real binary between a scripted platform and a
//! raw socket, and what the documents say of it.
//!
//! One program for all of them, because each further one costs a link and a
//! build of [`kit`] after every edit. The tests with a whole stand-in for the
//! outside world, real git and gh are in the crate `molecule-tests`.

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
