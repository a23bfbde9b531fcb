//! The environment, as a map that somebody hands in. It holds secrets: it has
//! no `Debug`, and what is wrong with a variable never quotes it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::place::{Place, Problem};
use super::reader::{At, nearest};

pub(super) const PREFIX: &str = "MOLECULE_BROKER_";

/// Our own variables, to tell a misspelt one.
pub(super) const OWN: &[&str] = &[
    "MOLECULE_BROKER_ALLOW_USERS",
    "MOLECULE_BROKER_CONFIG",
    "MOLECULE_BROKER_HOSTS",
    "MOLECULE_BROKER_LOG",
    "MOLECULE_BROKER_LOG_FORMAT",
    "MOLECULE_BROKER_PERSONA_HOSTS",
    "MOLECULE_BROKER_SINKS",
    "MOLECULE_BROKER_SOCKET",
];

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

    /// All that is text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str()?)))
    }

    /// The value with its place; one that is no text is a problem.
    pub(super) fn at(&self, name: &'static str, problems: &mut Vec<Problem>) -> Option<At<String>> {
        self.text(name)?.map_err(|problem| problems.push(problem)).ok()
    }

    /// The value with its place, or what is wrong with one that is no text.
    pub(super) fn text(&self, name: &'static str) -> Option<Result<At<String>, Problem>> {
        let place = Place::Environment(name);
        Some(match self.os(name)?.to_str() {
            Some(text) => Ok(At { value: text.to_owned(), place }),
            None => Err(Problem { place, key: String::new(), what: "it is not UTF-8 text, expected text".to_owned() }),
        })
    }

    /// [`Env::text`] of the first of these variables that is set.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<Result<At<String>, Problem>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Variables of our own prefix that look like a misspelt one.
    pub(super) fn misspelt(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let ours = self.0.keys().filter(|name| name.starts_with(PREFIX) && !OWN.contains(&name.as_str()));
        ours.filter_map(|name| Some((name.as_str(), nearest(name, OWN)?)))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self::from_os(vars.into_iter().map(|(name, value)| (name.into(), value.into())))
    }
}
