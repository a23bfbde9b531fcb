//! The wiring, checked end to end: from the socket to git's configuration, the
//! programs on `PATH`, what old tools left behind, and the platform.
//!
//! Each check is a function from the [`Scene`] to findings, one file an area.
//! A finding says what is the case and, if that isn't good, what to do. None
//! ever quotes a value that could be a credential.

mod git;
mod git_files;
mod leftovers;
mod platform;
mod programs;
mod socket;

use std::path::PathBuf;

use molecule_protocol::origin::Pattern;
use serde::Serialize;

use crate::config::{Config, Env, Origin, Problems, Scope};
use crate::lease::Class;
use crate::status::Status;
use crate::text::visible;

/// What the checks look at, beside the file system and git.
pub struct Scene {
    pub env: Env,
    pub config: Result<Config, Problems>,
    pub socket: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub level: Level,
    pub what: String,
    /// Empty where all is well.
    pub remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It works, and could be better or safer.
    Warn,
    Fail,
}

/// All findings, in the order in which a credential travels back.
#[must_use]
pub fn examine(scene: &Scene) -> Vec<Finding> {
    let (mut findings, status) = socket::check(scene);
    findings.extend(configuration(scene, status.as_ref()));
    findings.extend(credentials(status.as_ref()));
    findings.extend(programs::check(scene, status.as_ref()));
    findings.extend(git::check(scene));
    findings.extend(leftovers::check(scene, status.as_ref()));
    findings.extend(platform::check(scene, status.as_ref()));
    findings
}

fn configuration(scene: &Scene, status: Option<&Status>) -> Vec<Finding> {
    let config = match &scene.config {
        Ok(config) => config,
        Err(problems) => {
            let remedy = match status {
                Some(_) => "correct it, then run: molecule-broker reload",
                // A daemon that isn't there can't be asked to read it again.
                None => {
                    "correct it: supervise then starts the daemon by itself within 30 s; under systemd: systemctl restart molecule-broker"
                }
            };
            return problems.0.iter().map(|p| Finding::fail("config", format!("{p}"), remedy)).collect();
        }
    };
    let open = config.credentials.iter().find(|c| c.scope == Scope::Any);
    let scope = open.map_or_else(
        || Finding::ok("scope", "every credential has origins of its own"),
        |c| {
            let what = format!(
                "the credential {} goes to any https host that asks for one and that no other credential claims",
                c.name
            );
            Finding::warn("scope", what, scope_remedy(&c.name))
        },
    );
    let file = config.file.as_ref().map_or("environment alone".into(), |f| f.display().to_string());
    vec![Finding::ok("config", format!("good ({file})")), scope]
}

/// How a credential that any origin may have is given origins of its own.
#[must_use]
pub fn scope_remedy(credential: &str) -> String {
    let variable = if credential == "persona" { "MOLECULE_BROKER_PERSONA_HOSTS where it is started, or " } else { "" };
    format!("name its hosts in {variable}`origins` of the credential {credential} in the configuration file")
}

/// What the daemon says of its own credentials.
fn credentials(status: Option<&Status>) -> Vec<Finding> {
    let each = status.iter().flat_map(|status| &status.credentials);
    each.map(|c| {
        let error = c.last_error.as_ref().map_or(String::new(), |e| format!(", {}: {}", e.class, e.message));
        let what = format!("{} is {}{error}", c.name, c.state);
        match c.state.as_str() {
            "ok" => Finding::ok("credential", what),
            "starting" => Finding::warn("credential", what, "watch it: molecule-broker status --watch"),
            "stale" => {
                // A daemon of another version may have a class of its own.
                let class = c.last_error.as_ref().and_then(|error| Class::named(&error.class));
                let of_platform = !["file", "command"].contains(&c.source.as_str());
                let class = class.filter(|_| of_platform).unwrap_or(Class::Config);
                Finding::warn("credential", what, platform::remedy(class))
            }
            "unconfigured" => {
                Finding::warn("credential", what, "configure its source, or leave it if nothing needs it")
            }
            _ => Finding::fail(
                "credential",
                what,
                format!("mend what the error names, then: molecule-broker refresh {}", c.name),
            ),
        }
    })
    .collect()
}

impl Scene {
    /// The origins that somebody configured; GitHub's own where the
    /// configuration can't be read.
    fn origins(&self) -> Vec<Origin> {
        if self.config.is_err() {
            let github = Pattern::parse("github.com").ok();
            return github
                .map(|p| Origin { scheme: p.scheme, wildcard: false, host: p.host.into(), port: None })
                .into_iter()
                .collect();
        }
        let lists = self.config.iter().flat_map(|config| &config.credentials);
        lists
            .filter_map(|c| match &c.scope {
                Scope::Patterns(origins) => Some(origins.clone()),
                Scope::Any => None,
            })
            .flatten()
            .collect()
    }

    /// Whether a host is one that the broker has a credential for.
    fn manages(&self, host: &str) -> bool {
        self.origins().iter().any(|origin| {
            let of = |host: &str| {
                origin.names(&molecule_protocol::origin::Origin { scheme: origin.scheme, host, port: origin.port })
            };
            of(host).is_some()
        })
    }

    fn home(&self) -> Option<PathBuf> {
        self.env.os("HOME").map(PathBuf::from)
    }

    /// Every file of this name on `PATH` that can be run, in its order.
    fn on_path(&self, name: &str) -> Vec<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let can_run =
            |file: &PathBuf| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
        let folders = self.env.os("PATH").map(std::env::split_paths);
        folders.into_iter().flatten().map(|folder| folder.join(name)).filter(can_run).collect()
    }
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, what.into(), String::new())
    }

    fn warn(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, what.into(), remedy.into())
    }

    fn fail(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, what.into(), remedy.into())
    }

    /// Paths, URLs and errors in it are strangers' words.
    fn new(check: &'static str, level: Level, what: String, remedy: String) -> Self {
        Self { check, level, what: visible(&what), remedy: visible(&remedy) }
    }
}
