//! The daemon, `serve`: refreshes credentials and serves them.
//!
//! One process with one thread. A token flows from [`driver`] through
//! [`store`] to [`server`]; everything else here is told of it on the way.
//!
//! | modules | what they do |
//! | --- | --- |
//! | [`mod@serve`], [`assemble`] | start, reload and end; the only place that knows both the refresh side and the clients' side |
//! | [`driver`] | performs what [`crate::refresh`] decides: fetches, timers, publication |
//! | [`store`] | one writer for the refresh side, readers for all others |
//! | [`registry`], [`answer`] | which credential an origin gets, and which answer a client gets; pure |
//! | [`server`] | the socket, the verbs, the metrics port |
//! | [`audit`], [`metrics`], [`refresh_log`], [`status`] | who got which token; counters; log lines of refreshes; `status --json` |
//! | [`refresh_notifier`] | passes a new token to the sinks and hooks, which the runner process performs |
//! | [`service_manager`], [`lease_memory`] | systemd's protocol; the leases that the next daemon takes over |
//! | [`sandbox`] | the system calls and files that are left after the start |

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
