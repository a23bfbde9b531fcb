//! State shared while a configuration is resolved: the system lookups, the problems found, and the
//! location of each value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::location::{ConfigLocation, Problem};
use super::raw::RawList;
use super::reader::Placed;
use crate::system::environment::Env;
use crate::system::users::{User, UserNotFound};

/// Lookups in the operating system, replaced in tests.
pub struct SystemLookups<'s> {
    /// The uid of this process, which is the daemon's user.
    pub uid: Uid,
    pub user: &'s dyn Fn(&str) -> Result<User, UserNotFound>,
    pub user_of: &'s dyn Fn(Uid) -> User,
    pub group: &'s dyn Fn(&str) -> Result<Gid, UserNotFound>,
    /// Returns the owner of a folder, if the folder exists.
    pub owner: &'s dyn Fn(&Path) -> Option<Uid>,
    /// Tells whether the socket can be in a folder: it exists or can be created.
    pub usable: &'s dyn Fn(&Path) -> bool,
}

pub(super) struct Resolver<'b> {
    pub env: &'b Env,
    pub system: &'b SystemLookups<'b>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
    pub places: BTreeMap<String, ConfigLocation>,
    /// Variables that hold a credential, besides the images' own.
    pub withheld: Vec<String>,
}

impl Resolver<'_> {
    /// Adds a problem.
    pub(super) fn reject(&mut self, place: ConfigLocation, key: &str, what: impl Into<String>) {
        self.problems.push(Problem { place, key: key.to_owned(), what: what.into() });
    }

    pub(super) fn env(&mut self, name: &'static str) -> Option<Placed<String>> {
        self.env.at(name, &mut self.problems)
    }

    /// Records the location for the report and returns the value.
    pub(super) fn record_place<T>(&mut self, key: &str, at: Placed<T>) -> T {
        self.places.insert(key.to_owned(), at.place);
        at.value
    }

    pub(super) fn absolute(&mut self, key: &str, at: Placed<String>) -> Option<PathBuf> {
        let path = PathBuf::from(&at.value);
        if !path.is_absolute() || at.value.ends_with('/') {
            self.reject(at.place, key, "not the absolute path of a file, expected one such as \"/var/log/file\"");
            return None;
        }
        self.places.insert(key.to_owned(), at.place);
        Some(path)
    }

    pub(super) fn argv(&mut self, key: &str, list: Option<RawList>) -> Option<Vec<String>> {
        let list = list?;
        if list.value.first().is_none_or(|program| !Path::new(&program.value).is_absolute()) {
            let place = list.value.first().map_or(list.place, |program| program.place.clone());
            self.reject(
                place,
                key,
                "no program to run, expected the absolute path of a program and then its arguments",
            );
            return None;
        }
        self.places.insert(key.to_owned(), list.place);
        Some(list.value.into_iter().map(|at| at.value).collect())
    }

    pub(super) fn resolve_users(&mut self, key: &str, list: RawList) -> Vec<Uid> {
        let mut uids = Vec::new();
        for name in list.value {
            match (self.system.user)(&name.value) {
                Ok(user) if uids.contains(&user.uid) => {}
                Ok(user) => uids.push(user.uid),
                Err(error) => self.reject(name.place, key, error.to_string()),
            }
        }
        self.places.insert(key.to_owned(), list.place);
        uids
    }

    pub(super) fn configs_dir(&self) -> PathBuf {
        self.env.os("CONFIGS_DIR").map_or_else(|| PathBuf::from("/configs"), PathBuf::from)
    }
}

/// Returns the parts of a comma-separated variable, without empty ones.
pub(super) fn comma_list(at: Placed<String>) -> RawList {
    let parts = at.value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let value = parts.map(|part| Placed { value: part.to_owned(), place: at.place.clone() }).collect();
    Placed { value, place: at.place }
}
