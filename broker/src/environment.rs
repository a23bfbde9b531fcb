//! The only place that reads the process's environment; `clippy.toml` forbids
//! it everywhere else. An empty variable counts as unset, as images set them
//! so.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::ffi::OsString;

use crate::config::Env;

/// All of it, for the configuration.
#[must_use]
pub fn all() -> Env {
    Env::from_os(std::env::vars_os())
}

#[must_use]
pub fn os(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The value, where it is text.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    os(name)?.into_string().ok()
}
