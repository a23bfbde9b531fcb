//! Tests with the whole test city: stand-ins for the platform and for the
//! access check of the git host, and real git, gh, git-lfs, ssh, Docker and
//! systemd.
//!
//! All tests are in one program, because each further program costs a link
//! after every edit.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

mod agents;
mod audit;
mod bubblewrap;
mod building;
mod canary;
mod chaos;
mod cold_callers;
mod compatibility;
mod demo;
mod docker;
mod docker_conformance;
mod empty_image;
mod faults;
mod fuzz_corpus;
mod gh;
mod hermetic;
mod idle;
mod installing;
mod lfs;
mod memory;
mod old_scripts;
mod other_helpers;
mod other_hosts;
mod persona;
mod platform_down;
mod platform_page;
mod prompts;
mod readme;
mod rotation;
mod ssh;
mod stand_ins;
mod stopped_daemon;
mod systemd;
mod token_forms;
