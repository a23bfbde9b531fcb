//! Tests of the configuration on a fixed, simulated machine.

mod documents;
mod environment;
mod faults;
mod file;
mod precedence;

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::raw::Raw;
use super::sections::resolve_sections;
use super::{Config, CredentialConfig, CredentialScope, Env, Flags, Problems, SystemLookups};
use crate::system::users::{self, User};

const AGENT: u32 = 1000;

/// Reads the configuration of a machine where `/configs` belongs to `agent`
/// (uid 1000, home `/home/agent`) and the socket's usual folder can be made.
fn read(text: Option<&str>, flags: &Flags, env: &[(&str, &str)]) -> Result<Config, Problems> {
    let system = SystemLookups {
        uid: Uid::from_raw(0),
        user: &|text| match text {
            "agent" => Ok(agent()),
            other => users::user(other),
        },
        user_of: &|uid| if uid.as_raw() == AGENT { agent() } else { users::user_of(uid) },
        group: &|text| if text == "agent" { Ok(Gid::from_raw(AGENT)) } else { users::group(text) },
        owner: &|dir| match dir.to_str() {
            Some("/configs") => Some(Uid::from_raw(AGENT)),
            Some("/root-only") => Some(Uid::from_raw(0)),
            Some("/unmapped") => Some(users::OVERFLOW),
            _ => None,
        },
        usable: &|dir| dir == Path::new("/run/molecule-broker"),
    };
    let path = Path::new("/etc/m.toml");
    let raw = text.map(|text| Raw::read(path, text)).unwrap_or_default();
    let env: Env = env.iter().copied().collect();
    resolve_sections(text.map(|_| path.to_owned()), raw, flags, &env, &system)
}

fn agent() -> User {
    User {
        name: "agent".to_owned(),
        uid: Uid::from_raw(AGENT),
        gid: Gid::from_raw(AGENT),
        home: Some(PathBuf::from("/home/agent")),
    }
}

#[track_caller]
fn from_env(env: &[(&str, &str)]) -> Config {
    read(None, &Flags::default(), env).unwrap()
}

#[track_caller]
fn from_file(text: &str, env: &[(&str, &str)]) -> Config {
    read(Some(text), &Flags::default(), env).unwrap()
}

/// Returns the problems, one per line.
#[track_caller]
fn faults(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let problems = read(Some(text), &Flags::default(), env).expect_err("it should be refused");
    problems.to_string().lines().map(str::to_owned).collect()
}

fn names(config: &Config) -> Vec<&str> {
    config.credentials.iter().map(|c| &*c.name).collect()
}

fn origins(credential: &CredentialConfig) -> Vec<String> {
    match &credential.scope {
        CredentialScope::Any => vec!["any".to_owned()],
        CredentialScope::Patterns(patterns) => patterns.iter().map(ToString::to_string).collect(),
    }
}

fn uids(list: &[Uid]) -> Vec<u32> {
    list.iter().map(|uid| uid.as_raw()).collect()
}

/// Returns the name of the credential that serves an https host.
fn owner_of<'c>(config: &'c Config, host: &str) -> Option<&'c str> {
    let origin = molecule_protocol::origin::Origin::parse(b"https", host.as_bytes())?;
    config.scopes().resolve(&origin).map(|at| &*config.credentials[at].name)
}
