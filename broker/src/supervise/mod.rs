//! The supervisor, which is the container's entrypoint. It holds the listening socket and the
//! sealed leases, keeps a daemon running, runs the container's command, and as PID 1 reaps
//! orphans.
//!
//! It is small on purpose, because it must outlive all other processes. It reads no
//! configuration and no token, and no messages except short ones from its own children.
//!
//! - [`become_supervisor`]: replaces the process that parsed the command line with [`Supervisor`],
//!   one loop around poll(2)
//! - [`plan`]: the part of the configuration that the supervisor needs, read by a child
//! - [`daemon`]: one daemon process; [`restart_backoff`]: the pause before the next one starts
//! - [`watchdog`], [`notify_receiver`], [`fd_store`]: the service manager's side of systemd's
//!   protocols: keep-alive pings, notifications, stored descriptors
//! - [`command`]: starts the command with its environment
//! - [`exec_stage`]: the last steps of a child before it executes another program

mod command;
mod daemon;
mod entry;
mod exec_stage;
mod fd_store;
pub mod log;
mod notify_receiver;
pub mod plan;
mod restart_backoff;
mod run;
mod signals;
mod watchdog;

pub use entry::{become_supervisor, run_stage};
pub use plan::LaunchPlan;
pub use run::Supervisor;

/// Path by which this program is executed again. The kernel resolves it even if the program's file
/// has been replaced or removed.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The program's name in process lists.
const NAME: &str = "molecule-broker";
