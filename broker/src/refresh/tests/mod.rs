//! The machine against a scripted source, at instants of our choosing.

mod bench;
mod boot;
mod chance;
mod draws;
mod failure;
mod rejection;
mod success;
mod time;
