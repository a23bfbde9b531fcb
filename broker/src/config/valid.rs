//! The resolved configuration. All values have been checked, so code that has a [`Config`] can use
//! them without checks of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use molecule_protocol::origin::Pattern;
use nix::unistd::{Gid, Uid};
use tracing_subscriber::EnvFilter;

use super::location::ConfigLocation;
use crate::credential::scope::Scopes;
use crate::credential::secret::Secret;
use crate::refresh::RefreshPolicy;
use crate::source::platform;
use crate::system::listening_socket::SocketPlan;
use crate::system::users::User;

/// Names of the two built-in credentials.
pub const GITHUB: &str = "github";
pub(super) const PERSONA: &str = "persona";
/// GitHub's user name for an installation token. It is a placeholder and no user's name
/// ("Authenticating as a GitHub App installation", GitHub docs).
pub const TOKEN_USER: &str = "x-access-token";

/// An origin that a credential may be given to, in lower case.
pub type OriginPattern = Pattern<Box<str>>;

#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    pub socket: SocketConfig,
    pub log: LogConfig,
    pub metrics: Option<MetricsListen>,
    /// In the file's order. No two have the same name, and no two claim the same origin.
    pub credentials: Vec<CredentialConfig>,
    /// Origins that are claimed although no credential serves them: a credential with
    /// [`CredentialScope::Any`] is never given to them.
    pub claims: Vec<OriginPattern>,
    /// The refresh policy of a credential that sets none of its own.
    pub refresh: RefreshPolicy,
    pub sinks: SinkConfig,
    pub hooks: HookConfig,
    /// Warnings for the log at the start.
    pub warnings: Vec<String>,
    /// The location of each value by its dotted key. A key that isn't listed has its default.
    pub places: BTreeMap<String, ConfigLocation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    pub path: PathBuf,
    /// 0666 unless configured. The peer's uid, which can't be forged, decides who may ask; the mode
    /// only decides who can connect and get a refusal. With a stricter mode, an allowed user other
    /// than the daemon's own couldn't connect.
    pub mode: u32,
    pub group: Option<Gid>,
    /// Users that may ask, besides root and the daemon's own user.
    pub allow: Vec<Uid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A filter that [`log_filter`] accepts.
    pub filter: String,
    pub format: LogFormat,
    /// `None`: audit lines go into the log.
    pub audit_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| format.name() == name)
    }
}

/// Address of the metrics. It is never reachable from another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsListen {
    /// A loopback address.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Debug)]
pub struct CredentialConfig {
    pub name: Arc<str>,
    pub scope: CredentialScope,
    pub username: Arc<str>,
    /// Users that may ask for this credential, among those that may ask at all. `None`: all of
    /// them.
    pub allow: Option<Vec<Uid>>,
    pub source: SourceConfig,
    /// Served until `source` has given a credential. Only the provision-time token can be one.
    pub fallback: Option<SourceConfig>,
    pub policy: RefreshPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialScope {
    /// Any https origin that no other credential claims.
    Any,
    /// `token` and `exec` without a host use the first one.
    Patterns(Vec<OriginPattern>),
}

/// Source of a credential, with everything needed to open it. It has no derived `Debug`, since a
/// proxy's URL may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum SourceConfig {
    /// Settings that [`Platform::new`](crate::source::Platform::new) accepts.
    Platform(platform::PlatformSettings),
    /// The provision-time token.
    Env(Secret),
    /// A long-lived password for the credential's user name.
    Persona(Secret),
    /// A long-lived password in a variable that the configuration names.
    Variable { name: String, password: Secret },
    /// A file with the credential, read again when it changes.
    File(PathBuf),
    /// A program that prints the credential. `argv` isn't empty, and `env` is the whole
    /// environment.
    Command { argv: Vec<String>, env: BTreeMap<String, String> },
    /// A source that lacks a variable: the state `unconfigured`. The text says what to set.
    Missing(String),
    /// A source that a variable makes unusable: the state `unavailable`. The text names the
    /// variable, the problem and what is expected. Other credentials are still served.
    Unusable { kind: &'static str, what: String },
}

/// Sinks: the file and the program that get every new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// True if the real gh is logged in.
    pub gh: bool,
    /// The absolute path of the file that the token is written to.
    pub file: Option<PathBuf>,
    /// The credential that the sinks get. It exists if there is any sink.
    pub credential: Arc<str>,
    /// The user that the sinks act as; `None` if there is no sink.
    pub user: Option<User>,
}

impl SinkConfig {
    #[must_use]
    pub fn any(&self) -> bool {
        !self.names().is_empty()
    }

    /// Returns the sinks by their names in `MOLECULE_BROKER_SINKS`.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let wanted = [("gh", self.gh), ("file", self.file.is_some())];
        wanted.into_iter().filter_map(|(name, wanted)| wanted.then_some(name)).collect()
    }
}

/// Programs that run after an event, without a shell: each list is a program and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookConfig {
    pub on_refresh: Option<Vec<String>>,
    pub on_failure: Option<Vec<String>>,
}

impl Config {
    /// Returns the origins that each credential claims, for the decision which credential to serve.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        let mut scopes = Scopes::default();
        for (at, credential) in self.credentials.iter().enumerate() {
            match &credential.scope {
                CredentialScope::Any => scopes.take_the_rest(at),
                CredentialScope::Patterns(patterns) => patterns.iter().for_each(|p| scopes.claim(at, p.clone())),
            }
        }
        self.claims.iter().for_each(|p| scopes.reserve(p.clone()));
        scopes
    }

    /// Returns how the listening socket is to be created.
    #[must_use]
    pub fn socket_plan(&self) -> SocketPlan {
        let SocketConfig { path, mode, group, .. } = &self.socket;
        let make_folder = !self.places.contains_key("socket.path");
        SocketPlan { path: path.clone(), mode: *mode, group: *group, make_folder }
    }

    /// True if anything is configured that starts a program or acts as another user, which only the
    /// runner process can do.
    #[must_use]
    pub fn needs_runner(&self) -> bool {
        let hooks = self.hooks.on_refresh.is_some() || self.hooks.on_failure.is_some();
        self.sinks.any() || hooks || self.credentials.iter().any(|c| c.source.needs_runner())
    }

    #[must_use]
    pub fn credential(&self, name: &str) -> Option<&CredentialConfig> {
        self.credentials.iter().find(|c| &*c.name == name)
    }
}

impl CredentialConfig {
    /// True if the other credential has the same source, fallback and policy.
    #[must_use]
    pub fn is_refreshed_like(&self, other: &Self) -> bool {
        self.source == other.source && self.fallback == other.fallback && self.policy == other.policy
    }

    /// True if the user name belongs to a person or a bot, so that a request with another user name
    /// isn't for this credential. A token's user name is a placeholder: a different user name in
    /// the request is overridden instead.
    #[must_use]
    pub fn is_persona(&self) -> bool {
        !self.source.brings_tokens() && &*self.username != TOKEN_USER
    }
}

/// Properties of each kind of source. Each method is a `match` without `_`, so that the compiler
/// points at all of them when a kind is added.
impl SourceConfig {
    /// True if fetching starts a program.
    #[must_use]
    pub fn needs_runner(&self) -> bool {
        match self {
            Self::Command { .. } => true,
            Self::Platform(_)
            | Self::Env(_)
            | Self::Persona(_)
            | Self::Variable { .. }
            | Self::File(_)
            | Self::Missing(_)
            | Self::Unusable { .. } => false,
        }
    }

    /// True if only the daemon fetches from this source. A command that answers without a daemon
    /// then uses the fallback.
    #[must_use]
    pub fn needs_daemon(&self) -> bool {
        match self {
            Self::Platform(_) | Self::File(_) | Self::Command { .. } => true,
            Self::Env(_) | Self::Persona(_) | Self::Variable { .. } | Self::Missing(_) | Self::Unusable { .. } => false,
        }
    }

    /// Returns the file that the daemon's user must be able to read.
    #[must_use]
    pub fn file_to_read(&self) -> Option<&Path> {
        match self {
            Self::Platform(settings) => Some(&settings.bearer_path),
            Self::File(path) => Some(path),
            Self::Command { .. }
            | Self::Env(_)
            | Self::Persona(_)
            | Self::Variable { .. }
            | Self::Missing(_)
            | Self::Unusable { .. } => None,
        }
    }

    /// Returns the token that the container's environment has held since its start.
    #[must_use]
    pub fn provision_time_token(&self) -> Option<&Secret> {
        match self {
            Self::Env(token) => Some(token),
            Self::Platform(_)
            | Self::Persona(_)
            | Self::Variable { .. }
            | Self::File(_)
            | Self::Command { .. }
            | Self::Missing(_)
            | Self::Unusable { .. } => None,
        }
    }

    /// True if the credentials are a git host's tokens, whose user name is a placeholder.
    #[must_use]
    pub fn brings_tokens(&self) -> bool {
        match self {
            Self::Platform(_) | Self::Env(_) => true,
            Self::Persona(_)
            | Self::Variable { .. }
            | Self::File(_)
            | Self::Command { .. }
            | Self::Missing(_)
            | Self::Unusable { .. } => false,
        }
    }

    /// Returns the name that `status` shows.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Platform(_) => "platform",
            Self::Env(_) => "env",
            Self::Persona(_) | Self::Variable { .. } => "persona",
            Self::File(_) => "file",
            Self::Command { .. } => "command",
            Self::Missing(_) => "unconfigured",
            Self::Unusable { kind, .. } => kind,
        }
    }
}

impl fmt::Debug for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// Parses a log filter. Returns `None` if it isn't valid.
///
/// Field values are compared literally: as a regular expression, a line of a hundred bytes could
/// take minutes to compile. Text that isn't ASCII is refused, since it can make the parser panic.
#[must_use]
pub fn log_filter(text: &str) -> Option<EnvFilter> {
    if !text.is_ascii() {
        return None;
    }
    EnvFilter::builder().with_regex(false).parse(text).ok()
}
