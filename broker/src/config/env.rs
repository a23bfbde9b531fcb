//! Reads the environment's variables for the configuration. A problem with a variable never quotes
//! its value.

use super::location::{ConfigLocation, Problem};
use super::reader::{Placed, nearest};
use crate::system::environment::Env;

pub(super) const PREFIX: &str = "MOLECULE_BROKER_";

/// The broker's own variables, which a misspelt name is compared with.
pub(super) const OWN: &[&str] = &[
    "MOLECULE_BROKER_ALLOW_USERS",
    "MOLECULE_BROKER_CONFIG",
    "MOLECULE_BROKER_GH",
    "MOLECULE_BROKER_HOSTS",
    "MOLECULE_BROKER_LOG",
    "MOLECULE_BROKER_LOG_FORMAT",
    "MOLECULE_BROKER_PERSONA_HOSTS",
    "MOLECULE_BROKER_SINKS",
    "MOLECULE_BROKER_SOCKET",
];

impl Env {
    /// Returns the variables whose value is text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables().filter_map(|(name, value)| Some((name, value.to_str()?)))
    }

    /// Returns the value with its location. Adds a problem if the value isn't text.
    pub(super) fn at(&self, name: &'static str, problems: &mut Vec<Problem>) -> Option<Placed<String>> {
        self.text(name)?.map_err(|problem| problems.push(problem)).ok()
    }

    /// Returns the value with its location, or a problem if the value isn't text.
    pub(super) fn text(&self, name: &'static str) -> Option<Result<Placed<String>, Problem>> {
        let place = ConfigLocation::Environment(name);
        Some(match self.os(name)?.to_str() {
            Some(text) => Ok(Placed { value: text.to_owned(), place }),
            None => Err(Problem { place, key: String::new(), what: "it is not UTF-8 text, expected text".to_owned() }),
        })
    }

    /// Returns [`Env::text`] of the first of these variables that is set.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<Result<Placed<String>, Problem>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Returns unknown variables with the broker's prefix, each with the known name that it
    /// resembles.
    pub(super) fn misspelt(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let names = self.variables().map(|(name, _)| name);
        let ours = names.filter(|name| name.starts_with(PREFIX) && !OWN.contains(name));
        ours.filter_map(|name| Some((name, nearest(name, OWN)?)))
    }
}
