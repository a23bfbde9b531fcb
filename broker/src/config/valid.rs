//! The configuration once it is known to be good. Nothing in here needs to be
//! checked again: whoever holds a [`Config`] can act on it.

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

/// The two credentials that are there without a file.
pub const GITHUB: &str = "github";
pub(super) const PERSONA: &str = "persona";
/// GitHub's user name for an installation token, a stand-in for no user at all
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
    /// In the file's order; no two of one name, none with another's origins.
    pub credentials: Vec<CredentialConfig>,
    /// Origins that are spoken for though no credential here serves them: a
    /// credential with [`CredentialScope::Any`] is never given there.
    pub claims: Vec<OriginPattern>,
    /// The numbers that a credential has unless it has its own.
    pub refresh: RefreshPolicy,
    pub sinks: SinkConfig,
    pub hooks: HookConfig,
    /// What isn't wrong but should be known, for the log at the start.
    pub warnings: Vec<String>,
    /// Where each value came from, by its dotted key. A key that isn't in here
    /// has its default.
    pub places: BTreeMap<String, ConfigLocation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    pub path: PathBuf,
    /// 0666 unless configured. Who may ask is decided by the peer's uid, which
    /// can't be forged; the mode only decides who is told so. With less, a
    /// user that is allowed but not the daemon's own couldn't connect.
    pub mode: u32,
    pub group: Option<Gid>,
    /// Who may ask, besides root and the daemon's own user.
    pub allow: Vec<Uid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A text that [`log_filter`] has read once already.
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

/// Where metrics are served. Never further away than this machine.
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
    /// Who may ask for this one, out of those who may ask at all. `None`: all
    /// of them.
    pub allow: Option<Vec<Uid>>,
    pub source: SourceConfig,
    /// Serves while `source` has had nothing yet. Only ever the provision-time
    /// token.
    pub fallback: Option<SourceConfig>,
    pub policy: RefreshPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialScope {
    /// Any https origin that nobody else claims.
    Any,
    /// The first is the one that `token` and `exec` mean without a host.
    Patterns(Vec<OriginPattern>),
}

/// Where a credential comes from, with all that is needed to open it. It has no
/// derived `Debug`: a proxy's URL may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum SourceConfig {
    /// Known to make a [`Platform`](crate::source::Platform).
    Platform(platform::PlatformSettings),
    /// The provision-time token.
    Env(Secret),
    /// A password of long life, with the credential's user name.
    Persona(Secret),
    /// The same, in a variable that the configuration names.
    Variable { name: String, password: Secret },
    /// A file that holds the credential, read again when it changes.
    File(PathBuf),
    /// A program that prints the credential: never empty, with its whole
    /// environment.
    Command { argv: Vec<String>, env: BTreeMap<String, String> },
    /// Configured, but what it needs isn't there: the state `unconfigured`.
    /// The text says what to set.
    Missing(String),
    /// The environment names a source that can't be used: the state
    /// `unavailable`. The text says which variable, what is wrong with it and
    /// what is expected. Other credentials are served all the same.
    Unusable { kind: &'static str, what: String },
}

/// Files and programs that are told of every new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Log the real gh in.
    pub gh: bool,
    /// Write the token there. Absolute.
    pub file: Option<PathBuf>,
    /// The credential that goes there; it exists if there is any sink.
    pub credential: Arc<str>,
    /// As whom; `None` if there is no sink.
    pub user: Option<User>,
}

impl SinkConfig {
    #[must_use]
    pub fn any(&self) -> bool {
        !self.names().is_empty()
    }

    /// As `MOLECULE_BROKER_SINKS` names them.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let wanted = [("gh", self.gh), ("file", self.file.is_some())];
        wanted.into_iter().filter_map(|(name, wanted)| wanted.then_some(name)).collect()
    }
}

/// Programs that are run after an event: no shell, the first is the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookConfig {
    pub on_refresh: Option<Vec<String>>,
    pub on_failure: Option<Vec<String>>,
}

impl Config {
    /// Who claims what, for the one decision function.
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

    /// How the listening socket is to be made.
    #[must_use]
    pub fn socket_plan(&self) -> SocketPlan {
        let SocketConfig { path, mode, group, .. } = &self.socket;
        let make_folder = !self.places.contains_key("socket.path");
        SocketPlan { path: path.clone(), mode: *mode, group: *group, make_folder }
    }

    /// Whether anything is configured that starts a program or acts as another
    /// user, which the runner process does for the daemon.
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
    /// Whether the other one is refreshed in the same way from the same source.
    #[must_use]
    pub fn is_refreshed_like(&self, other: &Self) -> bool {
        self.source == other.source && self.fallback == other.fallback && self.policy == other.policy
    }

    /// Whether it belongs to a person or a bot, so that a request for another
    /// user name isn't for it. A token's user name is overridden instead.
    #[must_use]
    pub fn is_persona(&self) -> bool {
        !self.source.brings_tokens() && &*self.username != TOKEN_USER
    }
}

/// What the rest of the program asks about a kind of source. Each answer is a
/// `match` without `_`, so that the compiler names them all for a new kind.
impl SourceConfig {
    /// Whether fetching starts a program.
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

    /// Whether only a daemon fetches from it, so that a command that answers
    /// without one uses the fallback.
    #[must_use]
    pub fn needs_daemon(&self) -> bool {
        match self {
            Self::Platform(_) | Self::File(_) | Self::Command { .. } => true,
            Self::Env(_) | Self::Persona(_) | Self::Variable { .. } | Self::Missing(_) | Self::Unusable { .. } => false,
        }
    }

    /// The file that the daemon's user must be able to read.
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

    /// The token that was frozen in the container's environment at its start.
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

    /// Whether its credentials are a git host's tokens, whose user name is a
    /// placeholder.
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

    /// As `status` names it.
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

/// What a text filters, if it is a filter. Values of fields are compared as
/// they are written: made into a regular expression, a line of a hundred bytes
/// could take minutes. What isn't ASCII could make the parser panic.
#[must_use]
pub fn log_filter(text: &str) -> Option<EnvFilter> {
    if !text.is_ascii() {
        return None;
    }
    EnvFilter::builder().with_regex(false).parse(text).ok()
}
