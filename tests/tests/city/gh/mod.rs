//! The real gh, through the shim under its name and by `exec`, with a GitHub
//! that tells live tokens from dead ones.

mod absent;
mod git;
mod hosts;
mod login;
mod rotation;
mod scene;
mod sink;
mod today;
