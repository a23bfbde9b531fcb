//! One daemon per container that owns the refresh of git credentials and
//! serves them over a Unix socket.
//!
//! In the order in which data flows:
//!
//! | modules | what they do |
//! | --- | --- |
//! | [`moment`], [`clock`], [`secret`], [`secret_buffer`], [`lease`], [`text`] | the data: instants, secrets, bytes that hold one, credentials for a time, strangers' words |
//! | [`environment`], [`config`], [`users`], [`trust`] | from command line, environment and file to a configuration that can be trusted |
//! | [`source`] | where credentials come from: one fetch each |
//! | [`refresh`] | when to fetch: a pure machine, and the driver that performs what it decides |
//! | [`store`] | where the two halves meet: a writer for the refresh side, readers for the other |
//! | [`scope`], [`table`], [`answer`] | which credential an origin belongs to, and what may be given of it: pure |
//! | [`peer`], [`server`] | who may ask; the socket, the verbs |
//! | [`audit`], [`metrics`], [`journal`], [`status`] | who got what; what is counted; what the log says; how things stand |
//! | [`sinks`], [`program`] | what is told of a refresh; the helper process that starts programs, and how it does |
//! | [`service_manager`], [`lease_memory`] | what systemd or `supervise` holds for the next daemon |
//! | [`assemble`], [`serve`] | the composition root: the only place that knows both sides |
//! | [`harden`], [`sandbox`] | what neighbours may see of a process, and what the daemon may still do |
//! | [`git_config`] | what leads git to the helper, in its files and in variables |
//! | [`supervise`] | the container's entrypoint: what holds all that while daemons come and go |
//! | [`doctor`] | the wiring, checked end to end |
//! | [`client`], [`cli`] | the control commands, which are clients like any other |
//! | [`fault`], [`readiness`], [`small`], [`quiet`], [`stderr`] | how a command ends before its time; descriptors that the runtime watches; files that others write; log lines of which there could be many; a log that nobody reads |

#![forbid(unsafe_code)]

mod answer;
pub mod assemble;
mod audit;
pub mod cli;
mod client;
mod clock;
pub mod config;
mod doctor;
mod environment;
mod fault;
mod git_config;
pub mod harden;
mod journal;
pub mod lease;
pub mod lease_memory;
mod metrics;
pub mod moment;
mod peer;
mod program;
mod quiet;
mod readiness;
pub mod refresh;
mod sandbox;
pub mod scope;
pub mod secret;
mod secret_buffer;
mod serve;
mod server;
pub mod service_manager;
mod sinks;
mod small;
pub mod source;
mod status;
mod stderr;
mod store;
mod supervise;
mod table;
mod text;
mod trust;
pub mod users;
