//! One daemon per container that owns the refresh of git credentials and
//! serves them over a Unix socket.
//!
//! One binary is several kinds of process; `docs/architecture.md` draws them.
//! A folder belongs to one kind of process, or is shared by several:
//!
//! | folder | process | contents |
//! | --- | --- | --- |
//! | [`cli`] | the one that was started | the command line: one file for each command |
//! | [`doctor`] | one-shot | checks the whole set-up, with a remedy for each problem |
//! | [`supervise`] | supervisor, PID 1 | keeps a daemon running alongside the container's command |
//! | [`client`] | one-shots | sends the control commands' requests to the daemon |
//! | [`git_config`] | supervisor, one-shots | the settings with which git uses the credential helper |
//! | [`daemon`] | daemon | refreshes and serves credentials |
//! | [`runner`] | runner | starts programs for the daemon, whose sandbox forbids it to |
//! | [`config`] | all | command line, environment and file, resolved to one checked value |
//! | [`source`] | daemon, runner | one fetch from a platform, a file, a program or the environment |
//! | [`errands`] | daemon and runner | the connection between the two |
//! | [`refresh`] | daemon | decides when to fetch; pure: no IO, no clock |
//! | [`credential`] | all | secret, lease and scope, as data |
//! | [`system`] | all | access to the operating system |
//!
//! Some words have several uses. The runner process is started by the hidden
//! command `errands`, and the folder [`errands`] is the connection to it. A plan
//! is what the supervisor needs from the configuration (`supervise/plan.rs`), or
//! the next fetch of a credential (`refresh/plan.rs`). An answer is the daemon's
//! reply to a client (`daemon/answer`), or a platform's (`source/platform/answer`).
//!
//! A folder imports only from folders further down in this table, which
//! `broker/tests/broker/layers.rs` checks. Modules are `pub` where the project's own tests
//! and fuzzing need them: this library has no other users.

#![forbid(unsafe_code)]

pub mod cli;
mod client;
pub mod config;
pub mod credential;
pub mod daemon;
mod doctor;
mod errands;
mod git_config;
pub mod refresh;
mod runner;
pub mod source;
mod supervise;
pub mod system;
