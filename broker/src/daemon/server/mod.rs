//! The side of the socket: from a connection to an answer.
//!
//! [`accept`] takes connections and answers at once what can be answered at
//! once; [`slow`] is for the rest. Both go through [`Service`], which knows
//! the verbs.

pub mod accept;
pub mod rates;
pub mod refusals;
mod reply;
pub mod scrape;
pub mod service;
mod slow;

pub use service::{RootCommand, Service};
