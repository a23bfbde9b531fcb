//! The daemon, `serve`: refreshes credentials and serves them.
//!
//! One process with one thread. A token flows from [`driver`] through [`store`] to [`server`].
//! The log, the metrics, the sinks and hooks, and the lease memory are notified on the way.
//!
//! | modules | what they do |
//! | --- | --- |
//! | [`mod@serve`], [`assemble`] | start, reload and end; the only place that imports both the refresh side and the socket side |
//! | [`driver`] | performs what [`crate::refresh`] decides: fetches, timers, publication |
//! | [`store`] | one writer for the refresh side, readers for all others |
//! | [`registry`], [`answer`] | select the credential of an origin and the answer to a client; pure |
//! | [`server`] | the socket, the verbs, the metrics port |
//! | [`audit`], [`metrics`], [`refresh_log`], [`status`] | one line for each credential that was handed out; counters; log lines of refreshes; `status --json` |
//! | [`refresh_notifier`] | asks the runner process to write a new token to the sinks and to start the hooks |
//! | [`service_manager`], [`lease_memory`] | the protocol of systemd; the leases that the next daemon takes over |
//! | [`sandbox`] | the system calls and files that are allowed after the start |

pub(crate) mod answer;
pub mod assemble;
mod audit;
pub(crate) mod driver;
pub mod lease_memory;
mod metrics;
mod refresh_log;
pub(crate) mod refresh_notifier;
pub(crate) mod registry;
pub mod sandbox;
pub mod serve;
pub(crate) mod server;
pub mod service_manager;
pub(crate) mod status;
mod store;
