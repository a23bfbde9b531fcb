//! The part of the configuration that the supervisor needs. A child reads the configuration, prints
//! this part as lines of text, and exits, so that the supervisor never holds the rest.

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

/// The name of the daemon's dedicated user.
const OWN_USER: &str = "molecule-broker";

#[derive(Clone, Debug)]
pub struct LaunchPlan {
    pub socket: SocketPlan,
    /// The user that the daemon runs as; empty for the supervisor's own user.
    pub user: String,
    /// The format of the log.
    pub log: LogFormat,
    pub command: CommandEnvironment,
}

/// Variables that are added to the command's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandEnvironment {
    /// git's settings, which come after those that are already in the environment.
    pub git: Vec<GitSetting>,
    pub variables: Vec<(String, String)>,
}

impl LaunchPlan {
    #[must_use]
    pub fn from_config(config: &Config, user: String) -> Self {
        let mut command = CommandEnvironment::from_wiring(&Wiring::from_config(config));
        if config.socket.path != Path::new(DEFAULT_SOCKET) {
            command.variables.push(("MOLECULE_BROKER_SOCKET".into(), config.socket.path.display().to_string()));
        }
        Self { socket: config.socket_plan(), user, log: config.log.format, command }
    }

    /// Parses the lines that `Display` writes.
    ///
    /// # Errors
    /// Returns an error if the socket's path or mode is missing.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let values = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='));
        let value = |key| values(key).next();
        let number = |key| value(key).and_then(|text| text.parse().ok());
        Ok(Self {
            socket: SocketPlan {
                path: value("socket")
                    .filter(|path| path.starts_with('/'))
                    .map(PathBuf::from)
                    .ok_or("the plan has no socket")?,
                mode: number("mode").ok_or("the plan has no socket mode")?,
                group: number("group").map(Gid::from_raw),
                make_folder: value("make-folder") == Some("yes"),
            },
            user: value("user").unwrap_or_default().to_owned(),
            log: value("log").and_then(LogFormat::named).unwrap_or(LogFormat::Text),
            command: CommandEnvironment {
                git: values("git")
                    .filter_map(|pair| variables::parse_parameters(pair.as_bytes()).ok())
                    .flatten()
                    .collect(),
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
        git.iter()
            .try_for_each(|setting| writeln!(f, "git={}", variables::quote_settings(std::slice::from_ref(setting))))?;
        variables.iter().try_for_each(|(name, value)| writeln!(f, "env={name}={value}"))
    }
}

impl CommandEnvironment {
    /// Returns the environment for a command that starts without a usable configuration. It leads
    /// to the default socket, which a corrected configuration will most likely serve.
    #[must_use]
    pub fn without_config() -> Self {
        let key = |host| format!("credential.https://{host}.helper");
        Self::from_wiring(&Wiring { keys: ["github.com", "gist.github.com"].map(key).into(), open: false })
    }

    fn from_wiring(wiring: &Wiring) -> Self {
        // The settings begin with an empty helper, which resets the list (gitcredentials(7)).
        // Without our helper after it, git would only lose the others.
        let git = installed::helper_value().map(|helper| wiring.settings(&helper)).unwrap_or_else(|missing| {
            super::log::warn(&format!("git in the command isn't set up to use the broker: {missing}"));
            Vec::new()
        });
        let askpass = installed::askpass_path().display().to_string();
        let variables = vec![("GIT_ASKPASS".into(), askpass), variables::no_prompt()];
        Self { git, variables }
    }
}

/// Returns the user that the daemon runs as: its dedicated user if that user can read the files
/// that the daemon needs, otherwise the user that it serves.
///
/// Switches this process to the dedicated user, irrevocably, to test what that user can read. So
/// nothing after it in this process may need root.
#[must_use]
pub fn daemon_user(config: &Config, served: Option<&str>) -> String {
    if !geteuid().is_root() {
        return String::new();
    }
    let user = choose_user(config, served);
    if user.is_empty() || users::user(&user).is_ok_and(|user| user.uid.is_root()) {
        super::log::warn(&format!(
            "the daemon runs as root, since there is no other user for it: create a user {OWN_USER}, \
             or name the user to serve with --user"
        ));
    }
    user
}

fn choose_user(config: &Config, served: Option<&str>) -> String {
    let agent = served.map(str::to_owned).or_else(owner_of_configs).unwrap_or_default();
    let Ok(own) = users::user(OWN_USER) else { return agent };
    let sources = config.credentials.iter().filter_map(|credential| credential.source.file_to_read());
    let needed: Vec<&Path> = sources.chain(config.file.as_deref()).collect();
    let run_as_agent = |why: String| {
        super::log::info(&format!("the daemon doesn't run as {OWN_USER}: {why}"));
        agent.clone()
    };
    if config.sinks.user.as_ref().is_some_and(|user| user.name != own.name) {
        return run_as_agent("the sinks act as the agent, which only the agent's own user or root can do".into());
    }
    if let Err(error) = switch_user(&own) {
        return run_as_agent(format!("can't switch to that user: {error}"));
    }
    match needed.iter().find_map(|path| Some((path, bounded_file::open(path).err()?))) {
        Some((path, error)) => run_as_agent(format!("that user can't read {} ({error})", path.display())),
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
    fn an_incomplete_plan_is_refused() {
        for text in ["", "mode=438\n", "socket=relative\nmode=438\n", "socket=/s\nmode=x\n"] {
            assert!(LaunchPlan::parse(text).is_err(), "{text:?}");
        }
    }
}
