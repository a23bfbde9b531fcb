//! The machine against a scripted source, at chosen instants.

mod bench;
mod boot;
mod chance;
mod draws;
mod failure;
mod rejection;
mod success;
mod time;
