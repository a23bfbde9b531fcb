//! When to ask a source for the next credential, and what to serve meanwhile.
//!
//! [`Machine`] decides and performs nothing: it is told what happened and the
//! present [`Moment`](crate::system::time::Moment), and answers with an [`Action`].
//! All that others may see of it is [`Held`], a plain value that is published
//! after every event. The numbers stand in [`RefreshPolicy`], the draws in
//! [`schedule`]. [`crate::daemon`]'s driver performs.

pub mod event;
pub mod held;
pub mod machine;
mod plan;
pub mod policy;
pub mod schedule;

pub use event::{Action, Event, InitialState, RefreshOutcome};
pub use held::{CredentialState, Facts, Held, LastFailure, Serving};
pub use machine::Machine;
pub use policy::{PolicyError, RefreshPolicy};

#[cfg(test)]
mod tests;
