//! The side of the socket.

pub mod peer;
pub mod socket;
