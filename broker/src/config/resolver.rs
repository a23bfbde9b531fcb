//! What the reading of a configuration goes through with: what it may ask, and
//! the notes that it takes of every fault and every value's place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::location::{Place, Problem};
use super::raw::List;
use super::reader::At;
use crate::system::environment::Env;
use crate::system::users::{NotFound, User};

/// What has to be asked of the machine.
pub struct System<'s> {
    /// The daemon's user.
    pub uid: Uid,
    pub user: &'s dyn Fn(&str) -> Result<User, NotFound>,
    pub user_of: &'s dyn Fn(Uid) -> User,
    pub group: &'s dyn Fn(&str) -> Result<Gid, NotFound>,
    /// The owner of a folder, if it is there.
    pub owner: &'s dyn Fn(&Path) -> Option<Uid>,
    /// Whether the socket can be in that folder: it is there, or can be made.
    pub usable: &'s dyn Fn(&Path) -> bool,
}

pub(super) struct Build<'b> {
    pub env: &'b Env,
    pub system: &'b System<'b>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
    pub places: BTreeMap<String, Place>,
    /// Variables that hold a credential, beside the images' own.
    pub withheld: Vec<String>,
}

impl Build<'_> {
    pub(super) fn wrong(&mut self, place: Place, key: &str, what: impl Into<String>) {
        self.problems.push(Problem { place, key: key.to_owned(), what: what.into() });
    }

    pub(super) fn env(&mut self, name: &'static str) -> Option<At<String>> {
        self.env.at(name, &mut self.problems)
    }

    /// Takes the value, and keeps its place for the report.
    pub(super) fn placed<T>(&mut self, key: &str, at: At<T>) -> T {
        self.places.insert(key.to_owned(), at.place);
        at.value
    }

    pub(super) fn absolute(&mut self, key: &str, at: At<String>) -> Option<PathBuf> {
        let path = PathBuf::from(&at.value);
        if !path.is_absolute() || at.value.ends_with('/') {
            self.wrong(at.place, key, "not the absolute path of a file, expected one such as \"/var/log/file\"");
            return None;
        }
        self.places.insert(key.to_owned(), at.place);
        Some(path)
    }

    pub(super) fn argv(&mut self, key: &str, list: Option<List>) -> Option<Vec<String>> {
        let list = list?;
        if list.value.first().is_none_or(|program| !Path::new(&program.value).is_absolute()) {
            let place = list.value.first().map_or(list.place, |program| program.place.clone());
            self.wrong(place, key, "no program to run, expected the absolute path of one and then its arguments");
            return None;
        }
        self.places.insert(key.to_owned(), list.place);
        Some(list.value.into_iter().map(|at| at.value).collect())
    }

    pub(super) fn users(&mut self, key: &str, list: List) -> Vec<Uid> {
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
pub(super) fn comma_list(at: At<String>) -> List {
    let parts = at.value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let value = parts.map(|part| At { value: part.to_owned(), place: at.place.clone() }).collect();
    At { value, place: at.place }
}
