//! The file as written: all known keys with checked types. Nothing is looked up, and no value is
//! checked.

use std::path::Path;
use std::time::Duration;

use super::location::{ConfigLocation, Problem};
use super::reader::{Placed, TomlDocument, TomlTable, boolean, duration, fraction, mode, name_or_number, string};
use crate::refresh::policy::RefreshPolicy;

pub(super) const ROOT: &[&str] = &["socket", "log", "metrics", "refresh", "credential", "sinks", "hooks"];
pub(super) const SOCKET: &[&str] = &["path", "mode", "group", "allow_users"];
pub(super) const LOG: &[&str] = &["filter", "format", "audit_file"];
pub(super) const METRICS: &[&str] = &["listen"];
pub(super) const CREDENTIAL: &[&str] = &["name", "origins", "username", "allow_users", "source", "fallback", "refresh"];
pub(super) const SOURCE: &[&str] =
    &["platform", "workspace", "bearer_file", "allow_missing_expiry", "variable", "file", "command"];
const PLATFORM: &[&str] = &["platform", "workspace", "bearer_file", "allow_missing_expiry"];
pub(super) const SINKS: &[&str] = &["gh", "file", "credential", "user"];
pub(super) const HOOKS: &[&str] = &["on_refresh", "on_failure"];
pub(super) const REFRESH: &[&str] = &[
    "interval",
    "jitter",
    "lead_max",
    "lead_min",
    "lead_fraction",
    "same_token_min",
    "same_token_max",
    "retry_base",
    "retry_max",
    "not_configured_interval",
    "forced_min_gap",
    "replication_lag",
    "attempt_timeout",
    "initial_delay",
    "boot_spread",
];

pub(super) type RawList = Placed<Vec<Placed<String>>>;

#[derive(Default)]
pub(super) struct Raw {
    pub socket: RawSocket,
    pub log: RawLog,
    pub metrics_listen: Option<Placed<String>>,
    pub refresh: RawRefresh,
    pub credentials: Vec<RawCredential>,
    pub sinks: RawSinks,
    pub hooks: RawHooks,
}

#[derive(Default)]
pub(super) struct RawSocket {
    pub path: Option<Placed<String>>,
    pub mode: Option<Placed<u32>>,
    pub group: Option<Placed<String>>,
    pub allow_users: Option<RawList>,
}

#[derive(Default)]
pub(super) struct RawLog {
    pub filter: Option<Placed<String>>,
    pub format: Option<Placed<String>>,
    pub audit_file: Option<Placed<String>>,
}

/// The values that a `[refresh]` table sets, with their keys.
#[derive(Clone, Default)]
pub(super) struct RawRefresh(pub Vec<(&'static str, Placed<RawNumber>)>);

#[derive(Clone, Copy, Debug)]
pub(super) enum RawNumber {
    Span(Duration),
    Part(f64),
}

pub(super) struct RawCredential {
    pub name: Placed<String>,
    pub origins: Option<RawOrigins>,
    pub username: Option<Placed<String>>,
    pub allow_users: Option<RawList>,
    pub source: Option<Placed<RawSource>>,
    pub fallback: Option<Placed<String>>,
    pub refresh: RawRefresh,
}

pub(super) enum RawOrigins {
    /// A string in place of the list; only `any` is valid.
    Word(Placed<String>),
    List(RawList),
}

pub(super) enum RawSource {
    /// `"platform"`, `"env"`, `"persona"`, `"none"`, or an invalid string.
    Word(String),
    Platform(RawPlatform),
    Variable(Placed<String>),
    File(Placed<String>),
    Command(RawList),
}

#[derive(Default)]
pub(super) struct RawPlatform {
    pub url: Option<Placed<String>>,
    pub workspace: Option<Placed<String>>,
    pub bearer_file: Option<Placed<String>>,
    pub allow_missing_expiry: Option<Placed<bool>>,
}

#[derive(Default)]
pub(super) struct RawSinks {
    pub gh: Option<Placed<bool>>,
    pub file: Option<Placed<String>>,
    pub credential: Option<Placed<String>>,
    pub user: Option<Placed<String>>,
}

#[derive(Default)]
pub(super) struct RawHooks {
    pub on_refresh: Option<RawList>,
    pub on_failure: Option<RawList>,
}

impl Raw {
    /// Reads a file's text. A value with a problem is left out and the problem is returned.
    pub(super) fn read(file: &Path, text: &str) -> (Self, Vec<Problem>) {
        let doc = TomlDocument::new(file, text);
        let mut root = doc.root(ROOT);
        let mut raw = Self::default();
        if let Some(mut table) = root.take_table("socket", SOCKET) {
            raw.socket = RawSocket {
                path: table.take("path", string),
                mode: table.take("mode", mode),
                group: table.take("group", name_or_number),
                allow_users: read_users(&mut table),
            };
            table.finish();
        }
        if let Some(mut table) = root.take_table("log", LOG) {
            raw.log = RawLog {
                filter: table.take("filter", string),
                format: table.take("format", string),
                audit_file: table.take("audit_file", string),
            };
            table.finish();
        }
        if let Some(mut table) = root.take_table("metrics", METRICS) {
            raw.metrics_listen = table.take("listen", string);
            table.finish();
        }
        raw.refresh = read_refresh(&mut root);
        let mut credentials = root.take_tables("credential", CREDENTIAL);
        raw.credentials = credentials.drain(..).filter_map(read_credential).collect();
        if let Some(mut table) = root.take_table("sinks", SINKS) {
            raw.sinks = RawSinks {
                gh: table.take("gh", boolean),
                file: table.take("file", string),
                credential: table.take("credential", string),
                user: table.take("user", name_or_number),
            };
            table.finish();
        }
        if let Some(mut table) = root.take_table("hooks", HOOKS) {
            raw.hooks = RawHooks {
                on_refresh: read_argv(&mut table, "on_refresh"),
                on_failure: read_argv(&mut table, "on_failure"),
            };
            table.finish();
        }
        root.finish();
        (raw, doc.into_problems())
    }
}

impl RawCredential {
    /// Returns an entry for a built-in credential that the file doesn't mention.
    pub(super) fn built_in(name: &str, variable: &'static str) -> Self {
        let name = Placed { value: name.to_owned(), place: ConfigLocation::Environment(variable) };
        Self {
            name,
            origins: None,
            username: None,
            allow_users: None,
            source: None,
            fallback: None,
            refresh: RawRefresh::default(),
        }
    }
}

impl RawRefresh {
    /// Sets these values in a policy, and passes the location of each to `placed`.
    pub(super) fn apply(&self, policy: &mut RefreshPolicy, mut placed: impl FnMut(&'static str, &ConfigLocation)) {
        for (key, number) in &self.0 {
            match number.value {
                RawNumber::Part(part) => policy.lead_fraction = part,
                RawNumber::Span(span) if *key == "initial_delay" => policy.initial_delay = Some(span),
                RawNumber::Span(span) => *span_of(policy, key) = span,
            }
            placed(key, &number.place);
        }
    }
}

/// Returns a policy's duration by its key.
pub(super) fn span_of<'p>(policy: &'p mut RefreshPolicy, key: &str) -> &'p mut Duration {
    match key {
        "interval" => &mut policy.interval,
        "jitter" => &mut policy.jitter,
        "lead_max" => &mut policy.lead_max,
        "lead_min" => &mut policy.lead_min,
        "same_token_min" => &mut policy.same_token_min,
        "same_token_max" => &mut policy.same_token_max,
        "retry_base" => &mut policy.retry_base,
        "retry_max" => &mut policy.retry_max,
        "not_configured_interval" => &mut policy.not_configured_interval,
        "forced_min_gap" => &mut policy.forced_min_gap,
        "replication_lag" => &mut policy.replication_lag,
        "attempt_timeout" => &mut policy.attempt_timeout,
        "boot_spread" => &mut policy.boot_spread,
        other => unreachable!("{other} isn't a key of a [refresh] table"),
    }
}

fn read_refresh(parent: &mut TomlTable<'_, '_>) -> RawRefresh {
    let Some(mut table) = parent.take_table("refresh", REFRESH) else { return RawRefresh::default() };
    let mut numbers = Vec::new();
    for key in REFRESH.iter().copied() {
        let number = match key {
            "lead_fraction" => table.take(key, |v| fraction(v).map(RawNumber::Part)),
            _ => table.take(key, |v| duration(v).map(RawNumber::Span)),
        };
        numbers.extend(number.map(|n| (key, n)));
    }
    table.finish();
    RawRefresh(numbers)
}

fn read_credential(mut table: TomlTable<'_, '_>) -> Option<RawCredential> {
    let unnamed = !table.holds("name");
    let name = table.take("name", string);
    if unnamed {
        table.reject(table.place(), "name", "it is missing, expected a name such as \"github\"");
    }
    if let Some(name) = &name {
        table.name = format!("credential.{}", name.value);
    }
    let origins = if table.holds_string("origins") {
        table.take("origins", string).map(RawOrigins::Word)
    } else {
        let expected = "a list of origins such as [\"github.com\"], or \"any\"";
        table.take_list("origins", expected, string).map(RawOrigins::List)
    };
    let username = table.take("username", string);
    let allow_users = read_users(&mut table);
    let (source, fallback) = (read_source(&mut table), table.take("fallback", string));
    let refresh = read_refresh(&mut table);
    table.finish();
    Some(RawCredential { name: name?, origins, username, allow_users, source, fallback, refresh })
}

fn read_source(table: &mut TomlTable<'_, '_>) -> Option<Placed<RawSource>> {
    if !table.holds_table("source") {
        let word = table.take("source", string)?;
        return Some(Placed { value: RawSource::Word(word.value), place: word.place });
    }
    let mut table = table.take_table("source", SOURCE)?;
    let place = table.place();
    let is_platform = PLATFORM.iter().any(|key| table.holds(key));
    let platform = RawPlatform {
        url: table.take("platform", string),
        workspace: table.take("workspace", string),
        bearer_file: table.take("bearer_file", string),
        allow_missing_expiry: table.take("allow_missing_expiry", boolean),
    };
    let mut kinds = Vec::new();
    kinds.extend(is_platform.then_some(RawSource::Platform(platform)));
    kinds.extend(table.take("variable", string).map(RawSource::Variable));
    kinds.extend(table.take("file", string).map(RawSource::File));
    kinds.extend(read_argv(&mut table, "command").map(RawSource::Command));
    if kinds.len() != 1 {
        table.reject(place.clone(), "", "expected exactly one of: platform, variable, file, command");
    }
    table.finish();
    Some(Placed { value: kinds.into_iter().next()?, place })
}

fn read_users(table: &mut TomlTable<'_, '_>) -> Option<RawList> {
    table.take_list("allow_users", "a list of users such as [\"agent\"] or [1000]", name_or_number)
}

fn read_argv(table: &mut TomlTable<'_, '_>, key: &'static str) -> Option<RawList> {
    table.take_list(key, "a program and its arguments such as [\"/usr/bin/true\", \"-x\"]", string)
}
