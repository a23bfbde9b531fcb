//! Resolves the configuration section by section: precedence, defaults, lookups and checks. Pure
//! except for the [`SystemLookups`] that are passed in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::location::{ConfigLocation, Problem, Problems};
use super::raw::{self, Raw};
use super::reader::{Placed, nearest};
use super::resolver::{Resolver, SystemLookups, comma_list};
use super::valid::{
    Config, CredentialConfig, GITHUB, HookConfig, LogConfig, LogFormat, MetricsListen, SinkConfig, SocketConfig,
};
use super::{credentials, policy, socket_path};
use crate::system::advice::AdviceError;
use crate::system::environment::Env;
use crate::system::users::{OVERFLOW, User};

/// Options of the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--socket PATH`
    pub socket: Option<PathBuf>,
    /// `--log FILTER`
    pub log: Option<String>,
    /// `supervise --user NAME`: the user to allow and to act for, unless configured otherwise.
    pub user: Option<String>,
}

pub(super) fn resolve_sections(
    file: Option<PathBuf>,
    (raw, problems): (Raw, Vec<Problem>),
    flags: &Flags,
    env: &Env,
    system: &SystemLookups<'_>,
) -> Result<Config, Problems> {
    let mut resolver =
        Resolver { env, system, problems, warnings: Vec::new(), places: BTreeMap::new(), withheld: Vec::new() };
    for (name, meant) in env.misspelt() {
        resolver.warnings.push(format!("environment {name}: unknown variable, did you mean {meant}?"));
    }
    let default_user = resolver.default_user(flags);
    let socket = resolver.resolve_socket(raw.socket, flags, default_user.as_ref());
    let log = resolver.resolve_log(raw.log, flags);
    let metrics = raw.metrics_listen.and_then(|at| resolver.resolve_metrics(at));
    let base = policy::resolve_defaults(&mut resolver, &raw.refresh);
    let (credentials, claims) = credentials::resolve_credentials(&mut resolver, raw.credentials, &base);
    resolver.check_allowed(&socket, &credentials);
    let served = resolver.served_user(flags, default_user, &socket);
    let sinks = resolver.resolve_sinks(raw.sinks, &credentials, served);
    let hooks = HookConfig {
        on_refresh: resolver.argv("hooks.on_refresh", raw.hooks.on_refresh),
        on_failure: resolver.argv("hooks.on_failure", raw.hooks.on_failure),
    };
    let Resolver { mut problems, warnings, places, .. } = resolver;
    if problems.is_empty() {
        Ok(Config {
            file,
            socket,
            log,
            metrics,
            credentials,
            claims,
            refresh: base.policy,
            sinks,
            hooks,
            warnings,
            places,
        })
    } else {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Err(Problems(problems))
    }
}

impl Resolver<'_> {
    /// Returns the user that the broker is for: the one that the supervisor names, otherwise the
    /// owner of the platform's folder.
    fn default_user(&mut self, flags: &Flags) -> Option<User> {
        if let Some(name) = &flags.user {
            let found = (self.system.user)(name);
            return found.map_err(|e| self.reject(ConfigLocation::CommandLine("--user"), "", e.to_string())).ok();
        }
        let folder = self.configs_dir();
        let owner = (self.system.owner)(&folder)?;
        if owner == OVERFLOW {
            self.warnings.push(format!(
                "{} belongs to uid {owner}, which stands for every user that this container's user namespace doesn't \
                 map; name who may ask in MOLECULE_BROKER_ALLOW_USERS",
                folder.display()
            ));
            return None;
        }
        Some((self.system.user_of)(owner))
    }

    fn resolve_socket(&mut self, raw: raw::RawSocket, flags: &Flags, default_user: Option<&User>) -> SocketConfig {
        let flag = flags.socket.clone().map(|value| Placed { value, place: ConfigLocation::CommandLine("--socket") });
        let variable = self.env.os("MOLECULE_BROKER_SOCKET").map(PathBuf::from);
        let variable =
            variable.map(|value| Placed { value, place: ConfigLocation::Environment("MOLECULE_BROKER_SOCKET") });
        let written = raw.path.map(|at| Placed { value: PathBuf::from(at.value), place: at.place });
        let path = match flag.or(variable).or(written) {
            Some(at) => {
                if let Some(fault) = socket_path::find_problem(&at.value) {
                    self.reject(at.place.clone(), "socket.path", fault);
                }
                self.record_place("socket.path", at)
            }
            None => {
                let runtime = self.env.os("XDG_RUNTIME_DIR").map(Path::new);
                let path = socket_path::default_socket_path(runtime, self.system.usable).and_then(|path| {
                    let fault = socket_path::find_problem(&path);
                    fault.map_or(Ok(path), |fault| {
                        Err(AdviceError::new(format!("the socket's path would be {fault}"), ""))
                    })
                });
                path.unwrap_or_else(|what| {
                    self.reject(ConfigLocation::Environment("XDG_RUNTIME_DIR"), "socket.path", what.to_string());
                    PathBuf::new()
                })
            }
        };
        let group = raw.group.and_then(|at| match (self.system.group)(&at.value) {
            Ok(gid) => Some(self.record_place("socket.group", Placed { value: gid, place: at.place })),
            Err(error) => {
                self.reject(at.place, "socket.group", error.to_string());
                None
            }
        });
        let allow = match self.env("MOLECULE_BROKER_ALLOW_USERS").map(comma_list).or(raw.allow_users) {
            Some(list) => self.resolve_users("socket.allow_users", list),
            None => default_user.map(|user| user.uid).into_iter().collect(),
        };
        let mode = raw.mode.map_or(0o666, |at| self.record_place("socket.mode", at));
        SocketConfig { path, mode, group, allow }
    }

    fn resolve_log(&mut self, raw: raw::RawLog, flags: &Flags) -> LogConfig {
        let flag = flags.log.clone().map(|value| Placed { value, place: ConfigLocation::CommandLine("--log") });
        let filter = flag.or_else(|| self.env("MOLECULE_BROKER_LOG")).or(raw.filter);
        let filter = filter.map_or_else(
            || "info".to_owned(),
            |at| {
                if super::log_filter(&at.value).is_none() {
                    let what = "not a log filter, expected one such as \"info\" or \"info,molecule_broker=debug\"";
                    self.reject(at.place.clone(), "log.filter", what);
                }
                self.record_place("log.filter", at)
            },
        );
        let format = self.env("MOLECULE_BROKER_LOG_FORMAT").or(raw.format);
        let format = format.map_or(LogFormat::Text, |at| {
            let format = LogFormat::named(&at.value).unwrap_or_else(|| {
                self.reject(at.place.clone(), "log.format", "not a format, expected \"text\" or \"json\"");
                LogFormat::Text
            });
            self.record_place("log.format", Placed { value: format, place: at.place })
        });
        let audit_file = raw.audit_file.and_then(|at| self.absolute("log.audit_file", at));
        LogConfig { filter, format, audit_file }
    }

    fn resolve_metrics(&mut self, at: Placed<String>) -> Option<MetricsListen> {
        let wanted = if at.value.starts_with('/') {
            let path = PathBuf::from(&at.value);
            socket_path::find_problem(&path).map_or(Ok(MetricsListen::Unix(path)), Err)
        } else {
            match at.value.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => Ok(MetricsListen::Tcp(address)),
                Ok(_) => Err("not a loopback address, expected 127.0.0.1:PORT, [::1]:PORT \
                     or the path of a Unix socket: metrics never leave this machine"
                    .to_owned()),
                Err(_) => Err("not an address, expected 127.0.0.1:PORT, [::1]:PORT \
                     or the path of a Unix socket"
                    .to_owned()),
            }
        };
        match wanted {
            Ok(listen) => Some(self.record_place("metrics.listen", Placed { value: listen, place: at.place })),
            Err(what) => {
                self.reject(at.place, "metrics.listen", what);
                None
            }
        }
    }

    /// Returns the user that the sinks act for unless `sinks.user` is set: the one that the
    /// supervisor names, or the owner of the platform's folder. If that owner may not ask, for
    /// instance because the folder belongs to root to keep it from the agent, it is the first
    /// allowed user that isn't root, or the daemon's own user if there is none.
    fn served_user(&self, flags: &Flags, default_user: Option<User>, socket: &SocketConfig) -> User {
        let may_ask = |uid: &Uid| !uid.is_root() && socket.allow.contains(uid);
        let is_unconditional = flags.user.is_some() || socket.allow.is_empty();
        default_user.filter(|user| is_unconditional || may_ask(&user.uid)).unwrap_or_else(|| {
            let first = socket.allow.iter().copied().find(|uid| !uid.is_root());
            (self.system.user_of)(first.unwrap_or(self.system.uid))
        })
    }

    fn resolve_sinks(&mut self, raw: raw::RawSinks, credentials: &[CredentialConfig], served: User) -> SinkConfig {
        let user = match raw.user {
            None => served,
            Some(at) => match (self.system.user)(&at.value) {
                Ok(user) => self.record_place("sinks.user", Placed { value: user, place: at.place }),
                Err(error) => {
                    self.reject(at.place, "sinks.user", error.to_string());
                    (self.system.user_of)(self.system.uid)
                }
            },
        };
        let named = self.env("MOLECULE_BROKER_SINKS");
        let place = [&raw.file.as_ref().map(|at| &at.place), &raw.gh.as_ref().map(|at| &at.place)];
        let place =
            named.as_ref().map(|at| at.place.clone()).or_else(|| place.into_iter().flatten().next().cloned().cloned());
        let mut gh = raw.gh.map(|at| self.record_place("sinks.gh", at)).unwrap_or(false);
        let mut file = raw.file;
        if let Some(at) = named {
            let list = comma_list(at);
            let names: Vec<&str> = list.value.iter().map(|at| at.value.as_str()).filter(|n| *n != "none").collect();
            if let Some(unknown) = names.iter().find(|name| !["gh", "file"].contains(name)) {
                let meant =
                    nearest(unknown, &["gh", "file", "none"]).map_or(String::new(), |m| format!(", did you mean {m}?"));
                self.reject(
                    list.place.clone(),
                    "",
                    format!("unknown sink{meant}; expected a comma list of gh and file, or none"),
                );
            }
            gh = names.contains(&"gh");
            self.places.insert("sinks.gh".to_owned(), list.place.clone());
            self.places.insert("sinks.file".to_owned(), list.place.clone());
            let default = || Placed { value: "~/.gh_token".to_owned(), place: list.place.clone() };
            file = names.contains(&"file").then(|| file.unwrap_or_else(default));
        }
        let file = file.and_then(|at| self.resolve_home_path(at, &user));
        let credential =
            raw.credential.map_or_else(|| GITHUB.to_owned(), |at| self.record_place("sinks.credential", at));
        let wanted = gh || file.is_some();
        if let Some(place) = place.filter(|_| wanted && !credentials.iter().any(|c| *c.name == *credential)) {
            let place = self.places.get("sinks.credential").cloned().unwrap_or(place);
            self.reject(place, "sinks.credential", "no such credential, expected the name of one that is configured");
        }
        SinkConfig { gh, file, credential: credential.into(), user: wanted.then_some(user) }
    }

    /// Resolves a path that may begin with `~/`.
    fn resolve_home_path(&mut self, at: Placed<String>, user: &User) -> Option<PathBuf> {
        let path = match (at.value.strip_prefix("~/"), &user.home) {
            (None, _) => Some(PathBuf::from(&at.value)),
            (Some(rest), Some(home)) => Some(home.join(rest)),
            (Some(_), None) => {
                let what = format!("user {} has no home folder here, expected an absolute path", user.name);
                self.reject(at.place.clone(), "sinks.file", what);
                return None;
            }
        };
        let path = path.filter(|path| path.is_absolute() && !at.value.ends_with('/'));
        if path.is_none() {
            self.reject(at.place.clone(), "sinks.file", "expected an absolute path, or one that begins with ~/");
        }
        self.places.insert("sinks.file".to_owned(), at.place);
        path
    }

    fn check_allowed(&mut self, socket: &SocketConfig, credentials: &[CredentialConfig]) {
        for credential in credentials {
            let asking = |uid: &&Uid| !uid.is_root() && **uid != self.system.uid && !socket.allow.contains(uid);
            for uid in credential.allow.iter().flatten().filter(asking) {
                self.warnings.push(format!(
                    "credential.{}.allow_users names uid {uid}, which socket.allow_users doesn't allow at all",
                    credential.name
                ));
            }
        }
    }
}
