#![cfg_attr(not(test), no_std)]
pub use molecule_protocol as protocol;
