//! The real gh, by the shim under its name and by `exec`, against a GitHub that
//! tells a living token from a dead one.

mod absent;
mod git;
mod hosts;
mod login;
mod rotation;
mod scene;
mod sink;
mod today;
