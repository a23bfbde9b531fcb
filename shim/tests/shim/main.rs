//! The real shim against a fake broker: literal input, literal output.

#![allow(clippy::unwrap_used, reason = "all of it is test code")]

mod askpass;
mod fallback;
mod file;
mod gh;
mod helper;
mod namespace;
mod round_trip;
mod support;
mod trust;
