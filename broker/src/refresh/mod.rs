//! The refresh of one credential: decides when to ask its source for the next token, and which
//! token to serve meanwhile.
//!
//! [`Machine`] only decides. It has no IO, no clock and no random numbers, so a
//! test can place any event at any instant. The driver in [`crate::daemon`] passes each [`Event`]
//! to the machine, with the current [`Moment`](crate::system::time::Moment) and a random number.
//! The machine answers with an [`Action`], and the driver performs it: it starts a fetch or sets a
//! timer. After every event the driver publishes [`Held`], a plain value from which all requests
//! are answered.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`event`] | the machine's input and output |
//! | [`machine`] | the transitions: the effect of each event |
//! | `plan` | the instant at which the next fetch is due |
//! | [`schedule`] | the random waits that a plan consists of |
//! | [`policy`] | the configured numbers |
//! | [`held`] | the published value: which token is served, and in which state the credential is |
//!
//! These words mean the same in all of them:
//!
//! - A *fetch* asks the source once. At most one is *in flight* per credential.
//! - A *lease* is a token with its expiry. It is *live* until it expires by either clock.
//! - The *ceiling* is the longest time from a new token to the next fetch.
//! - The *lead* is how long before a lease's expiry the next token is fetched.
//! - A *suspect* token was rejected by its host, and its source hasn't given another one yet.
//! - The *fallback* is the provision-time token. It is served while the source fails.

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
