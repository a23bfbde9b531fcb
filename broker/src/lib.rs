//! The daemon, in the order in which data flows through it.

pub mod clock;
pub mod config;
pub mod lease;
pub mod moment;
pub mod readiness;
pub mod refresh;
pub mod scope;
pub mod secret;
pub mod server;
pub mod source;
pub mod store;
pub mod text;
pub mod users;
