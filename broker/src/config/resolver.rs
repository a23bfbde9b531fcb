//! What the reading of a configuration goes through with: what it may ask, and
//! the notes that it takes of every fault and every value's place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::location::{ConfigLocation, Problem};
use super::raw::RawList;
use super::reader::Placed;
use crate::system::environment::Env;
use crate::system::users::{User, UserNotFound};

/// What has to be asked of the machine.
pub struct SystemLookups<'s> {
    /// The daemon's user.
    pub uid: Uid,
    pub user: &'s dyn Fn(&str) -> Result<User, UserNotFound>,
    pub user_of: &'s dyn Fn(Uid) -> User,
    pub group: &'s dyn Fn(&str) -> Result<Gid, UserNotFound>,
    /// The owner of a folder, if it is there.
    pub owner: &'s dyn Fn(&Path) -> Option<Uid>,
    /// Whether the socket can be in that folder: it is there, or can be made.
    pub usable: &'s dyn Fn(&Path) -> bool,
}

pub(super) struct Resolver<'b> {
    pub env: &'b Env,
    pub system: &'b SystemLookups<'b>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
    pub places: BTreeMap<String, ConfigLocation>,
    /// Variables that hold a credential, beside the images' own.
    pub withheld: Vec<String>,
}

impl Resolver<'_> {
    pub(super) fn wrong(&mut self, place: ConfigLocation, key: &str, what: impl Into<String>) {
        self.problems.push(Problem { place, key: key.to_owned(), what: what.into() });
    }

    pub(super) fn env(&mut self, name: &'static str) -> Option<Placed<String>> {
        self.env.at(name, &mut self.problems)
    }

    /// Takes the value, and keeps its place for the report.
    pub(super) fn placed<T>(&mut self, key: &str, at: Placed<T>) -> T {
        self.places.insert(key.to_owned(), at.place);
        at.value
    }

    pub(super) fn absolute(&mut self, key: &str, at: Placed<String>) -> Option<PathBuf> {
        let path = PathBuf::from(&at.value);
        if !path.is_absolute() || at.value.ends_with('/') {
            self.wrong(at.place, key, "not the absolute path of a file, expected one such as \"/var/log/file\"");
            return None;
        }
        self.places.insert(key.to_owned(), at.place);
        Some(path)
    }

    pub(super) fn argv(&mut self, key: &str, list: Option<RawList>) -> Option<Vec<String>> {
        let list = list?;
        if list.value.first().is_none_or(|program| !Path::new(&program.value).is_absolute()) {
            let place = list.value.first().map_or(list.place, |program| program.place.clone());
            self.wrong(place, key, "no program to run, expected the absolute path of one and then its arguments");
            return None;
        }
        self.places.insert(key.to_owned(), list.place);
        Some(list.value.into_iter().map(|at| at.value).collect())
    }

    pub(super) fn users(&mut self, key: &str, list: RawList) -> Vec<Uid> {
        let mut uids = Vec::new();
        for name in list.value {
            match (self.system.user)(&name.value) {
                Ok(user) if uids.contains(&user.uid) => {}
                Ok(user) => uids.push(user.uid),
                Err(error) => self.wrong(name.place, key, error.to_string()),
            }
        }
        self.places.insert(key.to_owned(), list.place);
        uids
    }

    pub(super) fn configs_dir(&self) -> PathBuf {
        self.env.os("CONFIGS_DIR").map_or_else(|| PathBuf::from("/configs"), PathBuf::from)
    }
}

/// The parts of a variable's comma list; empty ones don't count.
pub(super) fn comma_list(at: Placed<String>) -> RawList {
    let parts = at.value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let value = parts.map(|part| Placed { value: part.to_owned(), place: at.place.clone() }).collect();
    Placed { value, place: at.place }
}
