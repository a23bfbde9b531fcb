//! The container's entrypoint: it holds the listening socket and the sealed
//! leases, keeps a daemon running, runs the command beside it, and as PID 1
//! buries orphans. Small on purpose: it must outlive everything, so it reads
//! no configuration, no token and no message but short ones of its own child.
//!
//! - [`become_supervisor`]: leaves the command line behind and becomes [`Supervisor`],
//!   one loop around poll(2)
//! - [`plan`]: what it has to know of the configuration, told by a child
//! - [`daemon`]: one daemon's life; [`restart_backoff`]: when the next one starts
//! - [`watchdog`], [`notify_receiver`], [`fd_store`]: its signs of life, its messages, the
//!   descriptors it wants kept: systemd's protocol from the other side
//! - [`command`]: the command and its environment
//! - [`exec_stage`]: the last steps in a child, before it becomes another program

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

/// How this very program is started again: under this name the kernel finds
/// it even if its file was replaced or removed meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Its name for people.
const NAME: &str = "molecule-broker";
