//! Tests of the real shim against a fake broker, with literal input and output.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod askpass;
mod fallback;
mod file;
mod gh;
mod helper;
mod namespace;
mod round_trip;
mod support;
mod trust;
