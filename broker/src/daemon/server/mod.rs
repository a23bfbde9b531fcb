//! The socket side: from a connection to an answer.
//!
//! [`accept`] accepts connections and answers each request that needs no waiting. [`slow`] serves
//! the others. Both call [`Service`], which carries out the verbs, and [`finish`], which sends the
//! reply.

pub mod accept;
mod finish;
pub mod rates;
pub mod refusals;
mod reply;
pub mod scrape;
pub mod service;
mod slow;

pub use service::{RootCommand, Service};
