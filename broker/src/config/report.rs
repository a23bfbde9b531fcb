//! Prints the effective configuration for the command `config`. The output is a valid configuration
//! file in which each line names the location of its value. A credential in the environment is
//! shown as the name of its source.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::raw::{self, span_of};
use super::valid::{Config, CredentialConfig, CredentialScope, MetricsListen, SourceConfig};
use crate::refresh::RefreshPolicy;
use crate::source::platform;
use crate::system::users;

/// Returns the whole report.
#[must_use]
pub fn report(config: &Config) -> String {
    let mut out = Report { config, text: String::new(), table: String::new() };
    out.head();
    out.table("socket");
    out.line("path", path(&config.socket.path));
    out.line("mode", format!("\"{:04o}\"", config.socket.mode));
    if let Some(group) = config.socket.group {
        out.line("group", group.to_string());
    }
    out.line("allow_users", list(config.socket.allow.iter().map(|uid| user(*uid))));

    out.table("log");
    out.line("filter", quoted(&config.log.filter));
    out.line("format", quoted(config.log.format.name()));
    if let Some(file) = &config.log.audit_file {
        out.line("audit_file", path(file));
    }
    if let Some(listen) = &config.metrics {
        out.table("metrics");
        out.line(
            "listen",
            match listen {
                MetricsListen::Tcp(address) => quoted(&address.to_string()),
                MetricsListen::Unix(socket) => path(socket),
            },
        );
    }
    out.table("refresh");
    out.policy(&config.refresh, None);
    for credential in &config.credentials {
        out.credential(credential);
    }
    out.table("sinks");
    out.line("gh", config.sinks.gh.to_string());
    if let Some(file) = &config.sinks.file {
        out.line("file", path(file));
    }
    out.line("credential", quoted(&config.sinks.credential));
    if let Some(user) = &config.sinks.user {
        out.line("user", quoted(&user.name));
    }
    if config.hooks.on_refresh.is_some() || config.hooks.on_failure.is_some() {
        out.table("hooks");
    }
    for (key, argv) in [("on_refresh", &config.hooks.on_refresh), ("on_failure", &config.hooks.on_failure)] {
        if let Some(argv) = argv {
            out.line(key, list(argv.iter().map(|s| quoted(s))));
        }
    }
    out.text
}

struct Report<'c> {
    config: &'c Config,
    text: String,
    /// The dotted key of the current table.
    table: String,
}

impl Report<'_> {
    fn head(&mut self) {
        let file = self.config.file.as_deref();
        self.comment(
            file.map_or("no configuration file".to_owned(), |f| format!("configuration file {}", f.display())),
        );
        let claims = self.config.claims.iter().map(ToString::to_string).collect::<Vec<_>>();
        if !claims.is_empty() {
            self.comment(format!("claimed without a credential: {}", claims.join(", ")));
        }
        let warnings = self.config.warnings.clone();
        warnings.into_iter().for_each(|warning| self.comment(format!("warning: {warning}")));
    }

    fn comment(&mut self, text: String) {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.push(format_args!("# {line}\n"));
    }

    fn table(&mut self, name: &str) {
        name.clone_into(&mut self.table);
        self.push(format_args!("\n[{name}]\n"));
    }

    fn line(&mut self, key: &str, value: String) {
        let place = self.config.places.get(&format!("{}.{key}", self.table)).map(ToString::to_string);
        self.placed(key, value, place);
    }

    fn placed(&mut self, key: &str, value: String, place: Option<String>) {
        match place {
            Some(place) => self.push(format_args!("{key} = {value}  # from {place}\n")),
            None => self.push(format_args!("{key} = {value}  # default\n")),
        }
    }

    fn credential(&mut self, credential: &CredentialConfig) {
        let CredentialConfig { name, scope, username, allow, source, fallback, policy } = credential;
        self.table = format!("credential.{name}");
        self.push(format_args!("\n[[credential]]\nname = {}\n", quoted(name)));
        self.line(
            "origins",
            match scope {
                CredentialScope::Any => quoted("any"),
                CredentialScope::Patterns(patterns) => list(patterns.iter().map(|p| quoted(&p.to_string()))),
            },
        );
        self.line("username", quoted(username));
        if let Some(allow) = allow {
            self.line("allow_users", list(allow.iter().map(|uid| user(*uid))));
        }
        self.source("source", source);
        if let Some(fallback) = fallback {
            self.source("fallback", fallback);
        }
        if *policy != self.config.refresh {
            self.table = format!("credential.{name}.refresh");
            self.push(format_args!("[credential.refresh]\n"));
            let base = &self.config.refresh;
            self.policy(policy, Some(base));
        }
    }

    fn source(&mut self, key: &str, source: &SourceConfig) {
        let value = match source {
            SourceConfig::Platform(settings) => format!(
                "{{ platform = {}, workspace = {}, bearer_file = {}, allow_missing_expiry = {} }}",
                quoted(&settings.url),
                quoted(&settings.workspace_id),
                path(&settings.bearer_path),
                settings.allow_missing_expiry,
            ),
            SourceConfig::Env(_) => quoted("env"),
            SourceConfig::Persona(_) => quoted("persona"),
            SourceConfig::Variable { name, .. } => format!("{{ variable = {} }}", quoted(name)),
            SourceConfig::File(file) => format!("{{ file = {} }}", path(file)),
            SourceConfig::Command { argv, .. } => {
                format!("{{ command = {} }}", list(argv.iter().map(|s| quoted(s))))
            }
            SourceConfig::Missing(what) => {
                self.comment(format!("{key}: unconfigured, {what}"));
                return;
            }
            SourceConfig::Unusable { what, .. } => {
                self.comment(format!("{key}: can't be used, {what}"));
                return;
            }
        };
        if let SourceConfig::Platform(settings) = source {
            self.network(settings);
        }
        let keys = ["", ".platform", ".workspace", ".bearer_file"].map(|part| format!("{}.{key}{part}", self.table));
        let mut places: Vec<String> = Vec::new();
        for place in keys.iter().filter_map(|key| self.config.places.get(key)).map(ToString::to_string) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        self.placed(key, value, (!places.is_empty()).then(|| places.join(", ")));
    }

    /// Writes the proxies and root certificates for the platform. A proxy's URL isn't shown, since
    /// it may hold a password.
    fn network(&mut self, settings: &platform::PlatformSettings) {
        let platform::PlatformSettings { proxies, roots, .. } = settings;
        for (kind, url) in [("http", &proxies.http), ("https", &proxies.https), ("all", &proxies.all)] {
            if !url.is_empty() {
                self.comment(format!("{kind}_proxy is set in the environment"));
            }
        }
        for (name, path) in [("SSL_CERT_FILE", &roots.file), ("SSL_CERT_DIR", &roots.dirs)] {
            if let Some(path) = path {
                self.comment(format!("{name} = {}", path.display()));
            }
        }
    }

    /// Writes all values, or only those that differ from `base`.
    fn policy(&mut self, policy: &RefreshPolicy, base: Option<&RefreshPolicy>) {
        let (mut policy, mut base) = (policy.clone(), base.cloned());
        for key in raw::REFRESH {
            let mut shown = |policy: &mut RefreshPolicy| match *key {
                "lead_fraction" => Some(policy.lead_fraction.to_string()),
                "initial_delay" => policy.initial_delay.map(span),
                key => Some(span(*span_of(policy, key))),
            };
            let (value, usual) = (shown(&mut policy), base.as_mut().map(&mut shown));
            if let Some(value) = value.filter(|value| usual.is_none_or(|u| u.as_ref() != Some(value))) {
                self.line(key, value);
            }
        }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes everything");
    }
}

fn span(duration: Duration) -> String {
    format!("\"{}\"", humantime::format_duration(duration))
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn user(uid: nix::unistd::Uid) -> String {
    quoted(&users::user_of(uid).name)
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// Returns the text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
