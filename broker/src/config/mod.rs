//! Resolves the configuration: command line, environment and file, in this order of precedence, are
//! merged into one checked [`Config`].
//!
//! - `reader`, `raw`: the file as written, with all its faults
//! - [`Env`], [`Flags`]: environment and command line; this module never reads the process's own
//! - [`crate::system::trust`]: checks that only root or the daemon's user can change the file
//! - `sections`, with `policy`, `credentials`, `sources` and [`socket_path`]: precedence, defaults,
//!   lookups and checks; `resolver`: the state that they share
//! - `valid`: the result
//! - [`report`]: prints the result for the command `config`
//!
//! One run reports all problems, each with its location. The reference is
//! `docs/config.reference.toml`.

mod credentials;
mod env;
mod location;
mod policy;
mod raw;
mod reader;
pub mod report;
mod resolver;
mod sections;
pub mod socket_path;
mod sources;
mod valid;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, access, geteuid};

pub use crate::system::environment::Env;
pub use location::{ConfigLocation, Problem, Problems};
pub use resolver::SystemLookups;
pub use sections::Flags;
pub use valid::{
    Config, CredentialConfig, CredentialScope, GITHUB, HookConfig, LogConfig, LogFormat, MetricsListen, OriginPattern,
    SinkConfig, SocketConfig, SourceConfig, TOKEN_USER, log_filter,
};

use crate::system::{trust, users};

/// The file's path unless `--config` or `MOLECULE_BROKER_CONFIG` sets another.
pub const DEFAULT_FILE: &str = "/etc/molecule-broker/config.toml";

/// Finds and reads the file, if there is one, and resolves the configuration.
///
/// # Errors
/// Returns all problems.
pub fn load(flags: &Flags, env: &Env) -> Result<Config, Problems> {
    let us = geteuid();
    let system = SystemLookups {
        uid: us,
        user: &users::user,
        user_of: &users::user_of,
        group: &users::group,
        owner: &|dir| dir.metadata().ok().map(|m| Uid::from_raw(m.uid())),
        usable: &|dir| dir.is_dir() || dir.parent().is_some_and(|p| access(p, AccessFlags::W_OK).is_ok()),
    };
    let named = flags.config.clone().map(|path| (path, ConfigLocation::CommandLine("--config")));
    let variable = || {
        Some((PathBuf::from(env.os("MOLECULE_BROKER_CONFIG")?), ConfigLocation::Environment("MOLECULE_BROKER_CONFIG")))
    };
    let (path, place) = match named.or_else(variable) {
        Some(named) => named,
        // Only a file that certainly doesn't exist is skipped. If its existence can't be
        // determined, reading it reports the reason.
        None if matches!(Path::new(DEFAULT_FILE).try_exists(), Ok(false)) => {
            return sections::resolve_sections(None, Default::default(), flags, env, &system);
        }
        None => (PathBuf::from(DEFAULT_FILE), ConfigLocation::file(DEFAULT_FILE.as_ref())),
    };
    let text = trust::read(&path, us).map_err(|error| {
        let what = error.to_string();
        let what =
            if matches!(place, ConfigLocation::File { .. }) { what } else { format!("{}: {what}", path.display()) };
        Problems(vec![Problem { place, key: String::new(), what }])
    })?;
    parse(&path, &text, flags, env, &system)
}

/// Resolves the configuration from a file's text. Pure except for the `system` lookups.
///
/// # Errors
/// Returns all problems.
pub fn parse(
    file: &Path,
    text: &str,
    flags: &Flags,
    env: &Env,
    system: &SystemLookups<'_>,
) -> Result<Config, Problems> {
    sections::resolve_sections(Some(file.to_owned()), raw::Raw::read(file, text), flags, env, system)
}

#[cfg(test)]
mod tests;
