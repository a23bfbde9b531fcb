//! What the supervisor must know of the configuration. A child reads it, tells
//! this much in lines of text, and takes its memory along.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use molecule_protocol::limits::DEFAULT_SOCKET;
use nix::unistd::{Gid, Uid, geteuid};

use super::exec_stage::switch_user;
use crate::config::{Config, LogFormat};
use crate::git_config::{GitSetting, Wiring, installed, variables};
use crate::system::listening_socket::SocketPlan;
use crate::system::users::{self, OVERFLOW};
use crate::system::{bounded_file, environment};

/// The user that exists for the daemon alone.
const OWN_USER: &str = "molecule-broker";

#[derive(Clone, Debug)]
pub struct LaunchPlan {
    pub socket: SocketPlan,
    /// Whom the daemon runs as; empty for whoever the supervisor is.
    pub user: String,
    /// In which of its formats the log is.
    pub log: LogFormat,
    pub command: CommandEnvironment,
}

/// What the command finds in its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandEnvironment {
    /// For git, behind what others set for it.
    pub git: Vec<GitSetting>,
    pub variables: Vec<(String, String)>,
}

impl LaunchPlan {
    #[must_use]
    pub fn of(config: &Config, user: String) -> Self {
        let mut command = CommandEnvironment::of(&Wiring::of(config));
        if config.socket.path != Path::new(DEFAULT_SOCKET) {
            command.variables.push(("MOLECULE_BROKER_SOCKET".into(), config.socket.path.display().to_string()));
        }
        Self { socket: config.socket_plan(), user, log: config.log.format, command }
    }

    /// # Errors
    /// It lacks something, so that it isn't one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let values = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='));
        let value = |key| values(key).next();
        let number = |key| value(key).and_then(|text| text.parse().ok());
        Ok(Self {
            socket: SocketPlan {
                path: value("socket").filter(|path| path.starts_with('/')).map(PathBuf::from).ok_or("no socket")?,
                mode: number("mode").ok_or("no mode")?,
                group: number("group").map(Gid::from_raw),
                make_folder: value("make-folder") == Some("yes"),
            },
            user: value("user").unwrap_or_default().to_owned(),
            log: value("log").and_then(LogFormat::named).unwrap_or(LogFormat::Text),
            command: CommandEnvironment {
                git: values("git").filter_map(|pair| variables::parameters(pair.as_bytes()).ok()).flatten().collect(),
                variables: values("env")
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            },
        })
    }
}

impl fmt::Display for LaunchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SocketPlan { path, mode, group, make_folder } = &self.socket;
        writeln!(f, "socket={}\nmode={mode}\nuser={}", path.display(), self.user)?;
        writeln!(f, "log={}", self.log.name())?;
        writeln!(f, "make-folder={}", if *make_folder { "yes" } else { "no" })?;
        group.map_or(Ok(()), |group| writeln!(f, "group={group}"))?;
        let CommandEnvironment { git, variables } = &self.command;
        git.iter().try_for_each(|setting| writeln!(f, "git={}", variables::quoted(std::slice::from_ref(setting))))?;
        variables.iter().try_for_each(|(name, value)| writeln!(f, "env={name}={value}"))
    }
}

impl CommandEnvironment {
    /// The environment where no configuration could be had: it leads to the
    /// socket that a corrected one will most likely serve.
    #[must_use]
    pub fn usual() -> Self {
        let key = |host| format!("credential.https://{host}.helper");
        Self::of(&Wiring { keys: ["github.com", "gist.github.com"].map(key).into(), open: false })
    }

    fn of(wiring: &Wiring) -> Self {
        // An empty helper without ours behind it would only take helpers away.
        let git = installed::helper_value().map(|helper| wiring.settings(&helper)).unwrap_or_else(|missing| {
            super::log::warn(&format!("the command's git isn't led to the broker: {missing}"));
            Vec::new()
        });
        let askpass = installed::askpass_path().display().to_string();
        let variables = vec![("GIT_ASKPASS".into(), askpass), variables::no_prompt()];
        Self { git, variables }
    }
}

/// Whom the daemon runs as: its own user if that one can read what it must,
/// else the one it serves, who can. Changes this process's user for good, to
/// see with its eyes, so it must be the last thing that is done.
#[must_use]
pub fn daemon_user(config: &Config, served: Option<&str>) -> String {
    if !geteuid().is_root() {
        return String::new();
    }
    let user = own_or_served(config, served);
    if user.is_empty() || users::user(&user).is_ok_and(|user| user.uid.is_root()) {
        super::log::warn(&format!(
            "the daemon runs as root, for want of another user: make one that is called {OWN_USER}, \
             or name the one to serve by --user"
        ));
    }
    user
}

fn own_or_served(config: &Config, served: Option<&str>) -> String {
    let agent = served.map(str::to_owned).or_else(owner_of_configs).unwrap_or_default();
    let Ok(own) = users::user(OWN_USER) else { return agent };
    let sources = config.credentials.iter().filter_map(|credential| credential.source.file_to_read());
    let needed: Vec<&Path> = sources.chain(config.file.as_deref()).collect();
    let told = |why: String| {
        super::log::info(&format!("the daemon doesn't run as {OWN_USER}: {why}"));
        agent.clone()
    };
    if config.sinks.user.as_ref().is_some_and(|user| user.name != own.name) {
        return told("only the agent's own user, or root, can act for it as the sinks must".into());
    }
    if let Err(error) = switch_user(&own) {
        return told(format!("it can't be that user: {error}"));
    }
    match needed.iter().find_map(|path| Some((path, bounded_file::open(path).err()?))) {
        Some((path, error)) => told(format!("that user can't read {} ({error})", path.display())),
        None => OWN_USER.to_owned(),
    }
}

fn owner_of_configs() -> Option<String> {
    let folder = environment::os("CONFIGS_DIR").unwrap_or_else(|| "/configs".into());
    let uid = Uid::from_raw(Path::new(&folder).metadata().ok()?.uid());
    (uid != OVERFLOW).then(|| users::user_of(uid).name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let plan = LaunchPlan {
            socket: SocketPlan {
                path: "/run/a b/s".into(),
                mode: 0o660,
                group: Some(Gid::from_raw(7)),
                make_folder: true,
            },
            user: "agent".into(),
            log: LogFormat::Json,
            command: CommandEnvironment {
                git: vec![GitSetting::new("a.b", "it's"), GitSetting::new("a.b", "")],
                variables: vec![("A".into(), "b=c".into()), ("EMPTY".into(), String::new())],
            },
        };
        assert_eq!(format!("{:?}", LaunchPlan::parse(&plan.to_string()).unwrap()), format!("{plan:?}"));
    }

    #[test]
    fn half_a_plan_is_none() {
        for text in ["", "mode=438\n", "socket=relative\nmode=438\n", "socket=/s\nmode=x\n"] {
            assert!(LaunchPlan::parse(text).is_err(), "{text:?}");
        }
    }
}
