//! The only place that reads the process's environment; `clippy.toml` forbids
//! it everywhere else. An empty variable counts as unset, as images set them
//! so.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The variables by which a supervisor talks to the one process that it
/// started (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)). Processes
/// that this one starts must not get them.
pub const SUPERVISOR_VARIABLES: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// All of it, for the configuration.
#[must_use]
pub fn all() -> Env {
    Env::from_os(std::env::vars_os())
}

#[must_use]
pub fn os(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The value, also where it is empty: git's variables mean something then.
#[must_use]
pub fn raw(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The value, where it is text.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    os(name)?.into_string().ok()
}

/// The environment as a map, so that no test touches the process's own. It holds
/// secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

impl Env {
    /// Takes what `std::env::vars_os` gives. A name that is no UTF-8 is none
    /// that anybody here would ask for.
    pub fn from_os(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(vars.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }

    /// The value; an empty one counts as unset, as images set them so.
    #[must_use]
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value, where it is text.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<String> {
        self.os(name).and_then(OsStr::to_str).map(str::to_owned)
    }

    /// The value, also where it is empty: git's variables mean something then.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// True for a variable that is set and empty.
    #[must_use]
    pub fn is_emptied(&self, name: &str) -> bool {
        self.raw(name).is_some_and(OsStr::is_empty)
    }

    /// All of them, in the order of their names.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self::from_os(vars.into_iter().map(|(name, value)| (name.into(), value.into())))
    }
}
