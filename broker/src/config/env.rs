//! What a configuration asks of the environment. What is wrong with a variable
//! never quotes it.

use super::location::{ConfigLocation, Problem};
use super::reader::{Placed, nearest};
use crate::system::environment::Env;

pub(super) const PREFIX: &str = "MOLECULE_BROKER_";

/// Our own variables, to tell a misspelt one.
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
    /// All that is text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables().filter_map(|(name, value)| Some((name, value.to_str()?)))
    }

    /// The value with its place; one that is no text is a problem.
    pub(super) fn at(&self, name: &'static str, problems: &mut Vec<Problem>) -> Option<Placed<String>> {
        self.text(name)?.map_err(|problem| problems.push(problem)).ok()
    }

    /// The value with its place, or what is wrong with one that is no text.
    pub(super) fn text(&self, name: &'static str) -> Option<Result<Placed<String>, Problem>> {
        let place = ConfigLocation::Environment(name);
        Some(match self.os(name)?.to_str() {
            Some(text) => Ok(Placed { value: text.to_owned(), place }),
            None => Err(Problem { place, key: String::new(), what: "it is not UTF-8 text, expected text".to_owned() }),
        })
    }

    /// [`Env::text`] of the first of these variables that is set.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<Result<Placed<String>, Problem>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Variables of our own prefix that look like a misspelt one.
    pub(super) fn misspelt(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let names = self.variables().map(|(name, _)| name);
        let ours = names.filter(|name| name.starts_with(PREFIX) && !OWN.contains(name));
        ours.filter_map(|name| Some((name, nearest(name, OWN)?)))
    }
}
