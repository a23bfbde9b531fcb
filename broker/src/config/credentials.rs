//! The credentials: two that are there without a file, and what the file says.
//!
//! `github` and `persona` come from the images' own variables. An entry of the
//! file with one of these names changes what it mentions of them and keeps the
//! rest; an entry with another name stands beside them. What an entry takes,
//! a built-in gives up: the persona's password when the entry's source is
//! `"persona"`, the platform when it is `"platform"`, and any of the two
//! default origins that it lists. `source = "none"` switches a built-in off.
//!
//! Whatever becomes of `github`, its origins stay claimed, so that the persona
//! without a scope never goes there.

use std::sync::Arc;

use molecule_protocol::origin::Pattern;

use super::location::Place;
use super::policy::{self, Base};
use super::raw::{self, List, Origins};
use super::reader::At;
use super::resolver::{Build, comma_list};
use super::sources;
use super::valid::{Credential, GITHUB, Origin, PERSONA, Scope, SourceConfig, TOKEN_USER};

const GITHUB_ORIGINS: [&str; 2] = ["github.com", "gist.github.com"];

/// A credential whose claims aren't settled yet.
struct Draft {
    credential: Credential,
    claims: Vec<At<Origin>>,
    /// Where it can be pointed at.
    place: Place,
}

pub(super) fn build(
    build: &mut Build<'_>,
    entries: Vec<raw::Credential>,
    base: &Base,
) -> (Vec<Credential>, Vec<Origin>) {
    let mut entries: Vec<_> = without_doubles(build, entries).into_iter().map(Some).collect();
    for source in entries.iter().flatten().filter_map(|e| e.source.as_ref()) {
        if let raw::Source::Variable(name) = &source.value {
            build.withheld.push(name.value.clone());
        }
    }
    let mut take = |name: &str| {
        let mut slots = entries.iter_mut().enumerate();
        let (at, slot) = slots.find(|(_, e)| e.as_ref().is_some_and(|e| e.name.value == name))?;
        Some((at, slot.take()?))
    };
    let (github, persona) = (take(GITHUB), take(PERSONA));
    let (github_at, persona_at) = (github.as_ref().map(|g| g.0), persona.as_ref().map(|p| p.0));
    let only_built_in = entries.iter().all(Option::is_none);

    let mut drafts = Vec::new();
    let mut uses = Uses::default();
    for (at, entry) in entries.into_iter().enumerate().filter_map(|(at, e)| Some((at, e?))) {
        uses.note(&entry);
        drafts.push((at, listed(build, entry, base)));
    }
    let reserved = match github_draft(build, github.map(|g| g.1), base, &uses, only_built_in, &drafts) {
        Github::Serves(draft) => {
            // Unlisted, it comes first: `token` and `exec` mean it.
            drafts.insert(0, (github_at.unwrap_or(0), *draft));
            Vec::new()
        }
        Github::Claims(claims) => claims,
    };
    if let Some(draft) = persona_draft(build, persona.map(|p| p.1), base, &uses) {
        drafts.push((persona_at.unwrap_or(usize::MAX), draft));
    }
    drafts.sort_by_key(|(at, _)| *at);
    settle(build, drafts.into_iter().map(|(_, draft)| draft).collect(), reserved)
}

/// Which of the images' credentials the file's own entries took over.
#[derive(Default)]
struct Uses {
    platform: bool,
    persona: bool,
}

impl Uses {
    fn note(&mut self, entry: &raw::Credential) {
        match entry.source.as_ref().map(|at| &at.value) {
            Some(raw::Source::Word(word)) if word == "platform" => self.platform = true,
            Some(raw::Source::Word(word)) if word == "persona" => self.persona = true,
            _ => {}
        }
    }
}

fn without_doubles(build: &mut Build<'_>, entries: Vec<raw::Credential>) -> Vec<raw::Credential> {
    let mut kept: Vec<raw::Credential> = Vec::new();
    for entry in entries {
        let name = &entry.name.value;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            let what = "not a name, expected 1 to 64 letters, digits, '-', '_' or '.'";
            build.wrong(entry.name.place.clone(), "credential.name", what);
        } else if let Some(first) = kept.iter().find(|e| e.name.value == *name) {
            let what = format!("the name is taken at {}, expected one of its own", first.name.place);
            build.wrong(entry.name.place.clone(), &format!("credential.{name}.name"), what);
        } else {
            kept.push(entry);
        }
    }
    kept
}

fn listed(build: &mut Build<'_>, entry: raw::Credential, base: &Base) -> Draft {
    let (name, place) = (entry.name.value.clone(), entry.name.place.clone());
    if entry.origins.is_none() && !build.has_problem(&format!("credential.{name}.origins")) {
        let what = "origins is missing, expected a list such as [\"git.example.com\"]";
        build.wrong(place.clone(), &format!("credential.{name}"), what);
    }
    if entry.source.is_none() && !build.has_problem(&format!("credential.{name}.source")) {
        let what = format!("source is missing, expected {}", sources::EXPECTED);
        build.wrong(place.clone(), &format!("credential.{name}"), what);
    }
    let source = entry.source.as_ref().and_then(|at| sources::build(build, &name, at));
    draft(build, entry, base, source.unwrap_or_else(refused), None, None, place)
}

enum Github {
    Serves(Box<Draft>),
    Claims(Vec<Origin>),
}

fn github_draft(
    build: &mut Build<'_>,
    entry: Option<raw::Credential>,
    base: &Base,
    uses: &Uses,
    only_built_in: bool,
    others: &[(usize, Draft)],
) -> Github {
    let mut entry = entry;
    let hosts = build.env("MOLECULE_BROKER_HOSTS").map(comma_list);
    let written = hosts.or_else(|| match entry.as_mut()?.origins.take()? {
        Origins::List(list) => Some(list),
        Origins::Word(at) => {
            let what = "not a list, expected one such as [\"github.com\"]: a token must not go anywhere else";
            build.wrong(at.place, "credential.github.origins", what);
            None
        }
    });
    let claims = match written {
        Some(list) => build.origins("credential.github.origins", list),
        None => {
            let place = entry.as_ref().map_or(Place::Environment("MOLECULE_BROKER_HOSTS"), |e| e.name.place.clone());
            let taken = |o: &Origin| others.iter().any(|(_, d)| d.claims.iter().any(|at| at.value == *o));
            let defaults = GITHUB_ORIGINS.iter().filter_map(|text| Pattern::parse(text).ok()).map(lower);
            defaults.filter(|o| !taken(o)).map(|value| At { value, place: place.clone() }).collect()
        }
    };
    let reserve = |claims: Vec<At<Origin>>| Github::Claims(claims.into_iter().map(|at| at.value).collect());
    let switch = is_switched_off(build);
    let none = |at: &At<raw::Source>| matches!(&at.value, raw::Source::Word(word) if word == "none");
    if switch == Ok(true) || entry.as_ref().and_then(|e| e.source.as_ref()).is_some_and(none) {
        return reserve(claims);
    }
    let token = sources::provision_time_token(build);
    let has_platform = build.env.os("PLATFORM_URL").is_some() && !uses.platform;
    if entry.is_none() && (claims.is_empty() || !has_platform && token.is_none() && !only_built_in) {
        return reserve(claims);
    }
    let entry = entry.unwrap_or_else(|| raw::Credential::built_in(GITHUB, "PLATFORM_URL"));
    let source = match &entry.source {
        _ if let Err(what) = switch => Some(sources::unusable(build, GITHUB, "platform", what)),
        Some(at) => sources::build(build, GITHUB, at),
        None if has_platform => sources::platform(build, GITHUB, &raw::Platform::default(), None),
        None => Some(token.clone().map_or_else(
            || SourceConfig::Missing("set PLATFORM_URL, or GITHUB_TOKEN for the first hour".to_owned()),
            SourceConfig::Env,
        )),
    };
    let source = source.unwrap_or_else(refused);
    let behind = matches!(source, SourceConfig::Platform(_) | SourceConfig::Unusable { .. })
        .then_some(token)
        .flatten()
        .map(SourceConfig::Env);
    let place = entry.name.place.clone();
    Github::Serves(Box::new(draft(build, entry, base, source, behind, Some(claims), place)))
}

/// The variable of newer images. Unset means on: to run a broker is the opt-in.
///
/// # Errors
/// It says neither yes nor no.
fn is_switched_off(build: &Build<'_>) -> Result<bool, String> {
    let Some(text) = build.env.text("ENABLE_GITHUB_MIRROR_CREDENTIALS") else { return Ok(false) };
    let at = text.map_err(|problem| problem.to_string())?;
    match at.value.trim().to_ascii_lowercase().as_str() {
        "false" | "0" | "no" | "off" => Ok(true),
        "true" | "1" | "yes" | "on" => Ok(false),
        _ => Err(format!("{}: neither yes nor no, expected true or false", at.place)),
    }
}

fn persona_draft(build: &mut Build<'_>, entry: Option<raw::Credential>, base: &Base, uses: &Uses) -> Option<Draft> {
    if entry.is_none() && (uses.persona || !sources::persona_is_whole(build)) {
        return None;
    }
    let entry = entry.unwrap_or_else(|| raw::Credential::built_in(PERSONA, "GIT_HTTP_PASSWORD"));
    let word = |at: &At<raw::Source>| matches!(&at.value, raw::Source::Word(word) if word == "none");
    if entry.source.as_ref().is_some_and(word) {
        return None;
    }
    let hosts = build.env("MOLECULE_BROKER_PERSONA_HOSTS").map(comma_list);
    let claims = hosts.map(|list| build.origins("credential.persona.origins", list));
    let source = match &entry.source {
        Some(at) => sources::build(build, PERSONA, at),
        None => Some(sources::persona(build, PERSONA)),
    };
    let source = source.unwrap_or_else(refused);
    let place = entry.name.place.clone();
    let draft = draft(build, entry, base, source, None, claims, place);
    if draft.credential.scope == Scope::Any {
        build.warnings.push(
            "the credential persona is unscoped: its password goes to any https host that asks and that no other \
             credential claims; name its hosts in MOLECULE_BROKER_PERSONA_HOSTS before it starts, or as origins of \
             [[credential]] persona in the configuration file"
                .to_owned(),
        );
    }
    Some(draft)
}

fn draft(
    build: &mut Build<'_>,
    entry: raw::Credential,
    base: &Base,
    mut source: SourceConfig,
    default_fallback: Option<SourceConfig>,
    claims: Option<Vec<At<Origin>>>,
    place: Place,
) -> Draft {
    let name = entry.name.value;
    let key = |field: &str| format!("credential.{name}.{field}");
    if let Some(at) = &entry.source {
        build.places.insert(key("source"), at.place.clone());
    }
    let (scope_is_any, claims) = match (claims, entry.origins) {
        (Some(claims), _) => (false, claims),
        (None, Some(Origins::List(list))) => (false, build.origins(&key("origins"), list)),
        (None, Some(Origins::Word(at))) if at.value == "any" => {
            build.places.insert(key("origins"), at.place);
            (true, Vec::new())
        }
        (None, Some(Origins::Word(at))) => {
            build.wrong(at.place, &key("origins"), "wrong type (string), expected a list of origins, or \"any\"");
            (false, Vec::new())
        }
        (None, None) => (name == PERSONA, Vec::new()),
    };
    let from_persona = matches!(source, SourceConfig::Persona(_));
    let username = sources::username(build, &key("username"), entry.username, from_persona);
    let username = username.unwrap_or_else(|what| {
        source = sources::unusable(build, &name, "persona", what);
        None
    });
    if matches!(source, SourceConfig::Persona(_)) && username.is_none() {
        source = SourceConfig::Missing("set GIT_HTTP_USERNAME or GITEA_USER, or username in the file".to_owned());
    }
    let allow = entry.allow_users.map(|list| build.users(&key("allow_users"), list));
    let fallback = match entry.fallback {
        None => default_fallback,
        Some(at) => {
            let token = match at.value.as_str() {
                "env" => sources::provision_time_token(build).map(SourceConfig::Env),
                "none" => None,
                _ => {
                    build.wrong(at.place.clone(), &key("fallback"), "not a fallback, expected \"env\" or \"none\"");
                    None
                }
            };
            build.placed(&key("fallback"), At { value: token, place: at.place })
        }
    };
    let policy = policy::of_credential(build, &name, base, &entry.refresh);
    if let SourceConfig::Platform(settings) = &mut source {
        settings.timeout = policy.attempt_timeout;
    }
    for (field, source) in [("source", Some(&source)), ("fallback", fallback.as_ref())] {
        if let Some(place) = source.and_then(|source| sources::variable_of(build, source)) {
            build.places.entry(key(field)).or_insert(place);
        }
    }
    let patterns = claims.iter().map(|at| at.value.clone()).collect();
    let credential = Credential {
        scope: if scope_is_any { Scope::Any } else { Scope::Patterns(patterns) },
        username: username.unwrap_or_else(|| TOKEN_USER.to_owned()).into(),
        name: Arc::from(name),
        allow,
        source,
        fallback,
        policy,
    };
    Draft { credential, claims, place }
}

/// Stands in for a source that was noted as wrong, so that what else is wrong
/// comes to light too.
fn refused() -> SourceConfig {
    SourceConfig::Missing(String::new())
}

/// Holds that nobody claims what another one has.
fn settle(build: &mut Build<'_>, drafts: Vec<Draft>, reserved: Vec<Origin>) -> (Vec<Credential>, Vec<Origin>) {
    let mut claimed: Vec<(&Origin, &str)> = Vec::new();
    let mut open: Option<&str> = None;
    for Draft { credential, claims, place } in &drafts {
        let name = &*credential.name;
        for at in claims {
            match claimed.iter().find(|(origin, owner)| **origin == at.value && *owner != name) {
                Some((origin, owner)) => {
                    let what = format!("{origin} is claimed by the credential {owner} too, expected it in one of them");
                    build.wrong(at.place.clone(), &format!("credential.{name}.origins"), what);
                }
                None => claimed.push((&at.value, name)),
            }
        }
        match (&credential.scope, open) {
            (Scope::Any, None) => open = Some(name),
            (Scope::Any, Some(other)) => {
                let what = format!("the credential {other} takes any origin too, expected a list for one of them");
                build.wrong(place.clone(), &format!("credential.{name}.origins"), what);
            }
            _ => {}
        }
    }
    let claims = reserved.into_iter().filter(|o| !claimed.iter().any(|(origin, _)| *origin == o)).collect();
    (drafts.into_iter().map(|draft| draft.credential).collect(), claims)
}

impl Build<'_> {
    fn origins(&mut self, key: &str, list: List) -> Vec<At<Origin>> {
        let mut origins: Vec<At<Origin>> = Vec::new();
        let count = list.value.len();
        for (at, text) in list.value.into_iter().enumerate() {
            match Pattern::parse(&text.value).map(lower) {
                Ok(origin) if origins.iter().any(|at| at.value == origin) => {}
                Ok(value) => origins.push(At { value, place: text.place }),
                Err(bad) => {
                    let entry = if count > 1 { format!("entry {}: ", at + 1) } else { String::new() };
                    self.wrong(
                        text.place,
                        key,
                        format!("{entry}not an origin: {bad}; expected host, host:port or scheme://host[:port]"),
                    );
                }
            }
        }
        if count == 0 {
            self.wrong(list.place.clone(), key, "an empty list, expected at least one origin");
        }
        self.places.insert(key.to_owned(), list.place);
        origins
    }

    fn has_problem(&self, key: &str) -> bool {
        self.problems.iter().any(|p| p.key.starts_with(key))
    }
}

fn lower(pattern: Pattern<&str>) -> Origin {
    let Pattern { scheme, wildcard, host, port } = pattern;
    Pattern { scheme, wildcard, host: host.to_ascii_lowercase().into(), port }
}
