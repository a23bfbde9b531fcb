//! The only place that reads the process's environment; `clippy.toml` forbids it everywhere else.
//! An empty variable counts as unset, because images set variables to an empty value for that.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Variables with which a supervisor addresses the one process that it started (sd_listen_fds(3),
/// sd_notify(3), sd_watchdog_enabled(3)). Processes that this one starts must not get them.
pub const SUPERVISOR_VARIABLES: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Returns all variables, for the configuration.
#[must_use]
pub fn all() -> Env {
    Env::from_os(std::env::vars_os())
}

/// Returns a variable's value, unless it is empty.
#[must_use]
pub fn os(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns a variable's value, even an empty one, which has a meaning for git's variables.
#[must_use]
pub fn raw(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Returns a variable's value, if it is UTF-8 text and not empty.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    os(name)?.into_string().ok()
}

/// Environment as a map, so that no test touches the process's own. It holds secrets, so it has no
/// `Debug`.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

impl Env {
    /// Collects what `std::env::vars_os` gives. Names that aren't UTF-8 are left out: no code here
    /// asks for such a name.
    pub fn from_os(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(vars.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }

    /// Returns a variable's value, unless it is empty.
    #[must_use]
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns a variable's value, if it is UTF-8 text and not empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<String> {
        self.os(name).and_then(OsStr::to_str).map(str::to_owned)
    }

    /// Returns a variable's value, even an empty one, which has a meaning for git's variables.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// True if the variable is set to an empty value.
    #[must_use]
    pub fn is_emptied(&self, name: &str) -> bool {
        self.raw(name).is_some_and(OsStr::is_empty)
    }

    /// Returns all variables, in the order of their names.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self::from_os(vars.into_iter().map(|(name, value)| (name.into(), value.into())))
    }
}
