//! Resolves the credentials: the two built-in ones and the file's entries.
//!
//! `github` and `persona` are built in and come from the images' own variables. A file entry with
//! one of these names overrides the keys that it contains and keeps the rest. An entry with
//! another name adds a credential.
//!
//! An entry takes over what it uses from the built-in ones: the persona's password if its source is
//! `"persona"`, the platform if its source is `"platform"`, and each of the two default origins
//! that it lists. `source = "none"` switches a built-in credential off.
//!
//! The origins of `github` stay claimed even if it is switched off or unconfigured, so that an
//! unscoped persona is never given to them.

use std::sync::Arc;

use molecule_protocol::origin::Pattern;

use super::location::ConfigLocation;
use super::policy::{self, PolicyDefaults};
use super::raw::{self, RawList, RawOrigins};
use super::reader::Placed;
use super::resolver::{Resolver, comma_list};
use super::sources;
use super::valid::{CredentialConfig, CredentialScope, GITHUB, OriginPattern, PERSONA, SourceConfig, TOKEN_USER};

const GITHUB_ORIGINS: [&str; 2] = ["github.com", "gist.github.com"];

/// A credential whose claims haven't been checked against the others' yet.
struct Draft {
    credential: CredentialConfig,
    claims: Vec<Placed<OriginPattern>>,
    /// The location that a problem of the whole credential is reported at.
    place: ConfigLocation,
}

pub(super) fn resolve_credentials(
    resolver: &mut Resolver<'_>,
    entries: Vec<raw::RawCredential>,
    base: &PolicyDefaults,
) -> (Vec<CredentialConfig>, Vec<OriginPattern>) {
    let mut entries: Vec<_> = deduplicate(resolver, entries).into_iter().map(Some).collect();
    for source in entries.iter().flatten().filter_map(|e| e.source.as_ref()) {
        if let raw::RawSource::Variable(name) = &source.value {
            resolver.withheld.push(name.value.clone());
        }
    }
    let mut take_entry = |name: &str| {
        let mut slots = entries.iter_mut().enumerate();
        let (at, slot) = slots.find(|(_, e)| e.as_ref().is_some_and(|e| e.name.value == name))?;
        Some((at, slot.take()?))
    };
    let (github, persona) = (take_entry(GITHUB), take_entry(PERSONA));
    let (github_at, persona_at) = (github.as_ref().map(|g| g.0), persona.as_ref().map(|p| p.0));
    let only_built_in = entries.iter().all(Option::is_none);

    let mut drafts = Vec::new();
    let mut uses = Uses::default();
    for (at, entry) in entries.into_iter().enumerate().filter_map(|(at, e)| Some((at, e?))) {
        uses.record(&entry);
        drafts.push((at, draft_listed(resolver, entry, base)));
    }
    let reserved = match draft_github(resolver, github.map(|g| g.1), base, &uses, only_built_in, &drafts) {
        Github::Serves(draft) => {
            // Without an entry of its own it comes first, because `token` and `exec` use the first.
            drafts.insert(0, (github_at.unwrap_or(0), *draft));
            Vec::new()
        }
        Github::Claims(claims) => claims,
    };
    if let Some(draft) = draft_persona(resolver, persona.map(|p| p.1), base, &uses) {
        drafts.push((persona_at.unwrap_or(usize::MAX), draft));
    }
    drafts.sort_by_key(|(at, _)| *at);
    check_claims(resolver, drafts.into_iter().map(|(_, draft)| draft).collect(), reserved)
}

/// Records which of the images' credentials the file's own entries have taken over.
#[derive(Default)]
struct Uses {
    platform: bool,
    persona: bool,
}

impl Uses {
    fn record(&mut self, entry: &raw::RawCredential) {
        match entry.source.as_ref().map(|at| &at.value) {
            Some(raw::RawSource::Word(word)) if word == "platform" => self.platform = true,
            Some(raw::RawSource::Word(word)) if word == "persona" => self.persona = true,
            _ => {}
        }
    }
}

fn deduplicate(resolver: &mut Resolver<'_>, entries: Vec<raw::RawCredential>) -> Vec<raw::RawCredential> {
    let mut kept: Vec<raw::RawCredential> = Vec::new();
    for entry in entries {
        let name = &entry.name.value;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            let what = "not a name, expected 1 to 64 letters, digits, '-', '_' or '.'";
            resolver.reject(entry.name.place.clone(), "credential.name", what);
        } else if let Some(first) = kept.iter().find(|e| e.name.value == *name) {
            let what = format!("the name is already used at {}, expected a different one", first.name.place);
            resolver.reject(entry.name.place.clone(), &format!("credential.{name}.name"), what);
        } else {
            kept.push(entry);
        }
    }
    kept
}

fn draft_listed(resolver: &mut Resolver<'_>, entry: raw::RawCredential, base: &PolicyDefaults) -> Draft {
    let (name, place) = (entry.name.value.clone(), entry.name.place.clone());
    if entry.origins.is_none() && !resolver.has_problem(&format!("credential.{name}.origins")) {
        let what = "origins is missing, expected a list such as [\"git.example.com\"]";
        resolver.reject(place.clone(), &format!("credential.{name}"), what);
    }
    if entry.source.is_none() && !resolver.has_problem(&format!("credential.{name}.source")) {
        let what = format!("source is missing, expected {}", sources::EXPECTED);
        resolver.reject(place.clone(), &format!("credential.{name}"), what);
    }
    let source = entry.source.as_ref().and_then(|at| sources::resolve_source(resolver, &name, at));
    draft(resolver, entry, base, source.unwrap_or_else(placeholder_source), None, None, place)
}

enum Github {
    Serves(Box<Draft>),
    Claims(Vec<OriginPattern>),
}

fn draft_github(
    resolver: &mut Resolver<'_>,
    entry: Option<raw::RawCredential>,
    base: &PolicyDefaults,
    uses: &Uses,
    only_built_in: bool,
    others: &[(usize, Draft)],
) -> Github {
    let mut entry = entry;
    let hosts = resolver.env("MOLECULE_BROKER_HOSTS").map(comma_list);
    let written = hosts.or_else(|| match entry.as_mut()?.origins.take()? {
        RawOrigins::List(list) => Some(list),
        RawOrigins::Word(at) => {
            let what = "not a list, expected one such as [\"github.com\"]: a token must not be given to any other host";
            resolver.reject(at.place, "credential.github.origins", what);
            None
        }
    });
    let claims = match written {
        Some(list) => resolver.origins("credential.github.origins", list),
        None => {
            let place =
                entry.as_ref().map_or(ConfigLocation::Environment("MOLECULE_BROKER_HOSTS"), |e| e.name.place.clone());
            let taken = |o: &OriginPattern| others.iter().any(|(_, d)| d.claims.iter().any(|at| at.value == *o));
            let defaults = GITHUB_ORIGINS.iter().filter_map(|text| Pattern::parse(text).ok()).map(to_lowercase);
            defaults.filter(|o| !taken(o)).map(|value| Placed { value, place: place.clone() }).collect()
        }
    };
    let reserve = |claims: Vec<Placed<OriginPattern>>| Github::Claims(claims.into_iter().map(|at| at.value).collect());
    let switch = is_switched_off(resolver);
    let none = |at: &Placed<raw::RawSource>| matches!(&at.value, raw::RawSource::Word(word) if word == "none");
    if switch == Ok(true) || entry.as_ref().and_then(|e| e.source.as_ref()).is_some_and(none) {
        return reserve(claims);
    }
    let token = sources::provision_time_token(resolver);
    let has_platform = resolver.env.os("PLATFORM_URL").is_some() && !uses.platform;
    if entry.is_none() && (claims.is_empty() || !has_platform && token.is_none() && !only_built_in) {
        return reserve(claims);
    }
    let entry = entry.unwrap_or_else(|| raw::RawCredential::built_in(GITHUB, "PLATFORM_URL"));
    let source = match &entry.source {
        _ if let Err(what) = switch => Some(sources::unusable_source(resolver, GITHUB, "platform", what)),
        Some(at) => sources::resolve_source(resolver, GITHUB, at),
        None if has_platform => sources::resolve_platform(resolver, GITHUB, &raw::RawPlatform::default(), None),
        None => Some(token.clone().map_or_else(
            || SourceConfig::Missing("set PLATFORM_URL, or GITHUB_TOKEN for the first hour".to_owned()),
            SourceConfig::Env,
        )),
    };
    let source = source.unwrap_or_else(placeholder_source);
    let behind = matches!(source, SourceConfig::Platform(_) | SourceConfig::Unusable { .. })
        .then_some(token)
        .flatten()
        .map(SourceConfig::Env);
    let place = entry.name.place.clone();
    Github::Serves(Box::new(draft(resolver, entry, base, source, behind, Some(claims), place)))
}

/// Tells whether the variable of newer images switches `github` off. Unset means on: running a
/// broker is the opt-in.
///
/// # Errors
/// Returns an error if the value is neither true nor false.
fn is_switched_off(resolver: &Resolver<'_>) -> Result<bool, String> {
    let Some(text) = resolver.env.text("ENABLE_GITHUB_MIRROR_CREDENTIALS") else { return Ok(false) };
    let at = text.map_err(|problem| problem.to_string())?;
    match at.value.trim().to_ascii_lowercase().as_str() {
        "false" | "0" | "no" | "off" => Ok(true),
        "true" | "1" | "yes" | "on" => Ok(false),
        _ => Err(format!("{}: neither yes nor no, expected true or false", at.place)),
    }
}

fn draft_persona(
    resolver: &mut Resolver<'_>,
    entry: Option<raw::RawCredential>,
    base: &PolicyDefaults,
    uses: &Uses,
) -> Option<Draft> {
    if entry.is_none() && (uses.persona || !sources::persona_is_whole(resolver)) {
        return None;
    }
    let entry = entry.unwrap_or_else(|| raw::RawCredential::built_in(PERSONA, "GIT_HTTP_PASSWORD"));
    let word = |at: &Placed<raw::RawSource>| matches!(&at.value, raw::RawSource::Word(word) if word == "none");
    if entry.source.as_ref().is_some_and(word) {
        return None;
    }
    let hosts = resolver.env("MOLECULE_BROKER_PERSONA_HOSTS").map(comma_list);
    let claims = hosts.map(|list| resolver.origins("credential.persona.origins", list));
    let source = match &entry.source {
        Some(at) => sources::resolve_source(resolver, PERSONA, at),
        None => Some(sources::resolve_persona(resolver, PERSONA)),
    };
    let source = source.unwrap_or_else(placeholder_source);
    let place = entry.name.place.clone();
    let draft = draft(resolver, entry, base, source, None, claims, place);
    if draft.credential.scope == CredentialScope::Any {
        resolver.warnings.push(
            "the credential persona is unscoped: its password is given out for any https host that no other \
             credential claims; name its hosts in MOLECULE_BROKER_PERSONA_HOSTS before the daemon starts, or as \
             origins of [[credential]] persona in the configuration file"
                .to_owned(),
        );
    }
    Some(draft)
}

fn draft(
    resolver: &mut Resolver<'_>,
    entry: raw::RawCredential,
    base: &PolicyDefaults,
    mut source: SourceConfig,
    default_fallback: Option<SourceConfig>,
    claims: Option<Vec<Placed<OriginPattern>>>,
    place: ConfigLocation,
) -> Draft {
    let name = entry.name.value;
    let key = |field: &str| format!("credential.{name}.{field}");
    if let Some(at) = &entry.source {
        resolver.places.insert(key("source"), at.place.clone());
    }
    let (scope_is_any, claims) = match (claims, entry.origins) {
        (Some(claims), _) => (false, claims),
        (None, Some(RawOrigins::List(list))) => (false, resolver.origins(&key("origins"), list)),
        (None, Some(RawOrigins::Word(at))) if at.value == "any" => {
            resolver.places.insert(key("origins"), at.place);
            (true, Vec::new())
        }
        (None, Some(RawOrigins::Word(at))) => {
            resolver.reject(at.place, &key("origins"), "wrong type (string), expected a list of origins, or \"any\"");
            (false, Vec::new())
        }
        (None, None) => (name == PERSONA, Vec::new()),
    };
    let from_persona = matches!(source, SourceConfig::Persona(_));
    let username = sources::resolve_username(resolver, &key("username"), entry.username, from_persona);
    let username = username.unwrap_or_else(|what| {
        source = sources::unusable_source(resolver, &name, "persona", what);
        None
    });
    if matches!(source, SourceConfig::Persona(_)) && username.is_none() {
        source = SourceConfig::Missing("set GIT_HTTP_USERNAME or GITEA_USER, or username in the file".to_owned());
    }
    let allow = entry.allow_users.map(|list| resolver.resolve_users(&key("allow_users"), list));
    let fallback = match entry.fallback {
        None => default_fallback,
        Some(at) => {
            let token = match at.value.as_str() {
                "env" => sources::provision_time_token(resolver).map(SourceConfig::Env),
                "none" => None,
                _ => {
                    resolver.reject(at.place.clone(), &key("fallback"), "not a fallback, expected \"env\" or \"none\"");
                    None
                }
            };
            resolver.record_place(&key("fallback"), Placed { value: token, place: at.place })
        }
    };
    let policy = policy::resolve_policy(resolver, &name, base, &entry.refresh);
    if let SourceConfig::Platform(settings) = &mut source {
        settings.timeout = policy.attempt_timeout;
    }
    for (field, source) in [("source", Some(&source)), ("fallback", fallback.as_ref())] {
        if let Some(place) = source.and_then(|source| sources::variable_of(resolver, source)) {
            resolver.places.entry(key(field)).or_insert(place);
        }
    }
    let patterns = claims.iter().map(|at| at.value.clone()).collect();
    let credential = CredentialConfig {
        scope: if scope_is_any { CredentialScope::Any } else { CredentialScope::Patterns(patterns) },
        username: username.unwrap_or_else(|| TOKEN_USER.to_owned()).into(),
        name: Arc::from(name),
        allow,
        source,
        fallback,
        policy,
    };
    Draft { credential, claims, place }
}

/// Returns a placeholder for a source that was reported as wrong, so that the other problems are
/// found too.
fn placeholder_source() -> SourceConfig {
    SourceConfig::Missing(String::new())
}

/// Checks that no two credentials claim the same origin, and that at most one takes any origin.
fn check_claims(
    resolver: &mut Resolver<'_>,
    drafts: Vec<Draft>,
    reserved: Vec<OriginPattern>,
) -> (Vec<CredentialConfig>, Vec<OriginPattern>) {
    let mut claimed: Vec<(&OriginPattern, &str)> = Vec::new();
    let mut open: Option<&str> = None;
    for Draft { credential, claims, place } in &drafts {
        let name = &*credential.name;
        for at in claims {
            match claimed.iter().find(|(origin, owner)| **origin == at.value && *owner != name) {
                Some((origin, owner)) => {
                    let what =
                        format!("{origin} is also claimed by the credential {owner}, expected it in one of them");
                    resolver.reject(at.place.clone(), &format!("credential.{name}.origins"), what);
                }
                None => claimed.push((&at.value, name)),
            }
        }
        match (&credential.scope, open) {
            (CredentialScope::Any, None) => open = Some(name),
            (CredentialScope::Any, Some(other)) => {
                let what = format!("the credential {other} also takes any origin, expected a list for one of them");
                resolver.reject(place.clone(), &format!("credential.{name}.origins"), what);
            }
            _ => {}
        }
    }
    let claims = reserved.into_iter().filter(|o| !claimed.iter().any(|(origin, _)| *origin == o)).collect();
    (drafts.into_iter().map(|draft| draft.credential).collect(), claims)
}

impl Resolver<'_> {
    fn origins(&mut self, key: &str, list: RawList) -> Vec<Placed<OriginPattern>> {
        let mut origins: Vec<Placed<OriginPattern>> = Vec::new();
        let count = list.value.len();
        for (at, text) in list.value.into_iter().enumerate() {
            match Pattern::parse(&text.value).map(to_lowercase) {
                Ok(origin) if origins.iter().any(|at| at.value == origin) => {}
                Ok(value) => origins.push(Placed { value, place: text.place }),
                Err(bad) => {
                    let entry = if count > 1 { format!("entry {}: ", at + 1) } else { String::new() };
                    self.reject(
                        text.place,
                        key,
                        format!("{entry}not an origin: {bad}; expected host, host:port or scheme://host[:port]"),
                    );
                }
            }
        }
        if count == 0 {
            self.reject(list.place.clone(), key, "an empty list, expected at least one origin");
        }
        self.places.insert(key.to_owned(), list.place);
        origins
    }

    fn has_problem(&self, key: &str) -> bool {
        self.problems.iter().any(|p| p.key.starts_with(key))
    }
}

fn to_lowercase(pattern: Pattern<&str>) -> OriginPattern {
    pattern.map_host(|host| host.to_ascii_lowercase().into())
}
