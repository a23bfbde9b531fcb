//! Checks of the whole set-up: the socket, git's configuration, the programs on `PATH`, the
//! leftovers of old tools, and the platform.
//!
//! Each check is a function from the [`Scene`] to findings, with one file for each area. A finding
//! says what was found and, if that isn't good, what to do. It never quotes a value that could be a
//! credential.
//!
//! If a daemon answers, the checks use what it reports of itself: the environment of a second
//! terminal can differ from the one that the daemon was started with.

mod configured;
mod finding;
mod git;
mod leftovers;
mod netrc;
mod platform;
mod programs;
mod socket;

use std::path::{Path, PathBuf};

use molecule_protocol::origin::{self, Pattern};

pub use configured::scope_remedy;
pub use finding::{Finding, Level, Remedy};

use crate::config::{Config, CredentialScope, Env, OriginPattern, Problems};
use crate::daemon::status::{CredentialStatus, Status};

/// Input of the checks, besides the file system and git.
struct Scene {
    env: Env,
    config: Result<Config, Problems>,
    socket: PathBuf,
    /// The daemon's status, if a daemon answered.
    status: Option<Status>,
}

/// Loads the configuration of this environment. If the environment names no file, the file that
/// the daemon names is read.
pub type Load<'l> = &'l dyn Fn(Option<&Path>) -> Result<Config, Problems>;

/// Runs all checks. The findings are in the order in which a credential travels back.
#[must_use]
pub fn examine(env: Env, socket: PathBuf, load: Load<'_>) -> Vec<Finding> {
    let answer = socket::ask(&socket);
    let status = answer.as_ref().ok().cloned();
    let config = load(status.as_ref().and_then(|status| status.config_file.as_deref()).map(Path::new));
    let scene = Scene { env, config, socket, status };
    let git = git::read(&scene);
    let mut findings = socket::check(&scene, answer);
    findings.extend(configured::check(&scene));
    findings.extend(programs::check(&scene, &git));
    findings.extend(git::check(&scene, &git));
    findings.extend(leftovers::check(&scene));
    findings.extend(netrc::check(&scene));
    findings.extend(platform::check(&scene));
    findings
}

impl Scene {
    fn credentials(&self) -> &[CredentialStatus] {
        self.status.as_ref().map_or(&[], |status| &status.credentials)
    }

    /// Returns the origins that have a credential of their own: the daemon's, else those of the
    /// configuration, else GitHub's.
    fn origins(&self) -> Vec<OriginPattern> {
        let parse = |text: &str| Some(Pattern::parse(text).ok()?.map_host(Box::from));
        if self.status.is_some() {
            return self.credentials().iter().flat_map(|c| &c.origins).filter_map(|text| parse(text)).collect();
        }
        self.configured_origins().unwrap_or_else(|| parse("github.com").into_iter().collect())
    }

    /// Returns the origins that `setup-git` knows in this environment.
    fn configured_origins(&self) -> Option<Vec<OriginPattern>> {
        let credentials = &self.config.as_ref().ok()?.credentials;
        let patterns = credentials.iter().filter_map(|c| match &c.scope {
            CredentialScope::Patterns(origins) => Some(origins.clone()),
            CredentialScope::Any => None,
        });
        Some(patterns.flatten().collect())
    }

    /// Returns the name of the credential for every https origin that no other credential claims.
    fn unscoped(&self) -> Option<String> {
        if self.status.is_some() {
            return self.credentials().iter().find(|c| !c.scoped).map(|c| c.name.clone());
        }
        let config = self.config.as_ref().ok()?;
        config.credentials.iter().find(|c| c.scope == CredentialScope::Any).map(|c| c.name.to_string())
    }

    /// Returns the origin on this host that has a credential, for any scheme and port.
    fn managed_origin(&self, host: &str) -> Option<OriginPattern> {
        let names = |pattern: &OriginPattern| {
            pattern.closeness_to(&origin::Origin { scheme: pattern.scheme, host, port: pattern.port }).is_some()
        };
        self.origins().into_iter().find(names)
    }

    fn manages(&self, host: &str) -> bool {
        self.managed_origin(host).is_some()
    }

    /// Returns true if the daemon updates this sink.
    fn has_sink(&self, name: &str) -> bool {
        match &self.status {
            Some(status) => status.sinks.iter().any(|sink| sink == name),
            None => self.config.as_ref().is_ok_and(|config| config.sinks.names().contains(&name)),
        }
    }

    fn home(&self) -> Option<PathBuf> {
        self.env.os("HOME").map(PathBuf::from)
    }

    /// Returns every executable file of this name on `PATH`, in the order of `PATH`.
    fn find_on_path(&self, name: &str) -> Vec<PathBuf> {
        let folders = self.env.os("PATH").map(std::env::split_paths);
        folders.into_iter().flatten().map(|folder| folder.join(name)).filter(|file| can_run(file)).collect()
    }
}

fn can_run(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
