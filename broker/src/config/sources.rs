//! Resolves the credentials' sources, and the images' variables for them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use molecule_protocol::gh;
use molecule_protocol::limits::MAX_USERNAME;

use super::location::ConfigLocation;
use super::raw;
use super::reader::{Placed, nearest};
use super::resolver::Resolver;
use super::valid::{GITHUB, SourceConfig};
use crate::credential::secret::{MAX_SECRET, Secret, SecretError};
use crate::source::Platform;
use crate::source::platform::{PlatformSettings, Proxies, Roots};
use crate::system::environment::SUPERVISOR_VARIABLES;

pub(super) const EXPECTED: &str = "\"platform\", \"env\", \"persona\", { platform = \"URL\" }, { variable = \"NAME\" }, \
     { file = \"/PATH\" } or { command = [\"/PROGRAM\", …] }";

const PROVISION: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];
const PERSONA_USER: [&str; 2] = ["GIT_HTTP_USERNAME", "GITEA_USER"];
const PERSONA_PASSWORD: [&str; 2] = ["GIT_HTTP_PASSWORD", "GITEA_TOKEN"];

/// Resolves the source of a credential. Returns `None` if it is wrong, which is reported.
pub(super) fn resolve_source(
    resolver: &mut Resolver<'_>,
    name: &str,
    at: &Placed<raw::RawSource>,
) -> Option<SourceConfig> {
    let key = format!("credential.{name}.source");
    let missing = |what: &str| Some(SourceConfig::Missing(what.to_owned()));
    match &at.value {
        raw::RawSource::Word(word) => match word.as_str() {
            "platform" if resolver.env.os("PLATFORM_URL").is_none() => missing("set PLATFORM_URL"),
            "platform" => resolve_platform(resolver, name, &raw::RawPlatform::default(), Some(&at.place)),
            "env" => match provision_time_token(resolver) {
                Some(token) => Some(SourceConfig::Env(token)),
                None => missing("set GITHUB_TOKEN or GH_TOKEN"),
            },
            "persona" => Some(resolve_persona(resolver, name)),
            "none" => {
                let what = "only github and persona can be switched off, expected a source, or the entry to be removed";
                resolver.reject(at.place.clone(), &key, what);
                None
            }
            unknown => {
                let meant = nearest(unknown, &["platform", "env", "persona", "none"]);
                let meant = meant.map(|m| format!(", did you mean {m:?}?")).unwrap_or_default();
                resolver.reject(at.place.clone(), &key, format!("unknown source{meant}; expected {EXPECTED}"));
                None
            }
        },
        raw::RawSource::Platform(written) => resolve_platform(resolver, name, written, Some(&at.place)),
        raw::RawSource::Variable(variable) => resolve_variable(resolver, name, &key, variable),
        raw::RawSource::File(path) => {
            let path = Placed { value: path.value.clone(), place: path.place.clone() };
            resolver.absolute(&format!("{key}.file"), path).map(SourceConfig::File)
        }
        raw::RawSource::Command(argv) => {
            let argv = resolver.argv(&format!("{key}.command"), Some(argv.clone()))?;
            Some(SourceConfig::Command { argv, env: command_env(resolver) })
        }
    }
}

/// Resolves a platform source. The platform's variables apply to the credential `github`, and to
/// every platform source without a URL of its own.
pub(super) fn resolve_platform(
    resolver: &mut Resolver<'_>,
    name: &str,
    written: &raw::RawPlatform,
    place: Option<&ConfigLocation>,
) -> Option<SourceConfig> {
    let key = format!("credential.{name}.source");
    let ours = name == GITHUB || written.url.is_none();
    let mut pick = |variable: &'static str, own: &Option<Placed<String>>| {
        let found = ours.then(|| resolver.env(variable)).flatten();
        found.or_else(|| own.clone())
    };
    let (url, workspace) = (pick("PLATFORM_URL", &written.url), pick("WORKSPACE_ID", &written.workspace));
    let Some(url) = url else { return Some(SourceConfig::Missing("set PLATFORM_URL".to_owned())) };
    let bearer_path = match &written.bearer_file {
        Some(at) => resolver.absolute(&format!("{key}.bearer_file"), at.clone())?,
        None => resolver.configs_dir().join(".auth_token"),
    };
    let env = resolver.env;
    let settings = PlatformSettings {
        url: url.value.clone(),
        workspace_id: workspace.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
        bearer_path,
        proxies: Proxies::from_vars(|name| env.var(name)),
        roots: Roots {
            file: env.os("SSL_CERT_FILE").map(PathBuf::from),
            dirs: env.os("SSL_CERT_DIR").map(PathBuf::from),
        },
        allow_missing_expiry: written.allow_missing_expiry.as_ref().is_some_and(|at| at.value),
        timeout: crate::source::platform::ATTEMPT,
    };
    if let Err(failure) = Platform::new(settings.clone()) {
        return match place.filter(|_| is_fault_of_file(&settings, &url, workspace.as_ref())) {
            Some(place) => {
                resolver.reject(place.clone(), &key, failure.message);
                None
            }
            None => Some(unusable_source(resolver, name, "platform", failure.message)),
        };
    }
    resolver.places.insert(format!("{key}.platform"), url.place);
    let bearer_place = written.bearer_file.as_ref().map(|at| at.place.clone());
    let configs = || resolver.env.os("CONFIGS_DIR").map(|_| ConfigLocation::Environment("CONFIGS_DIR"));
    if let Some(place) = bearer_place.or_else(configs) {
        resolver.places.insert(format!("{key}.bearer_file"), place);
    }
    if let Some(at) = workspace {
        resolver.places.insert(format!("{key}.workspace"), at.place);
    }
    Some(SourceConfig::Platform(settings))
}

/// True if the platform would be unusable with the file's values alone, without the environment's
/// workspace and proxy.
fn is_fault_of_file(settings: &PlatformSettings, url: &Placed<String>, workspace: Option<&Placed<String>>) -> bool {
    let is_written = |at: &Placed<String>| matches!(at.place, ConfigLocation::File { .. });
    let workspace_id = workspace.filter(|at| is_written(at)).map(|at| at.value.clone()).unwrap_or_default();
    let proxies = Proxies::from_vars(|_| None);
    is_written(url) && Platform::new(PlatformSettings { workspace_id, proxies, ..settings.clone() }).is_err()
}

/// Returns the source of a credential that a variable makes unusable, and adds a warning. The other
/// credentials must still be served, so this isn't an error.
pub(super) fn unusable_source(
    resolver: &mut Resolver<'_>,
    name: &str,
    kind: &'static str,
    what: String,
) -> SourceConfig {
    let warning = format!("the credential {name} can't be served: {what}");
    if !resolver.warnings.contains(&warning) {
        resolver.warnings.push(warning);
    }
    SourceConfig::Unusable { kind, what }
}

/// Returns the provision-time token. An invalid value only adds a warning and doesn't keep the
/// daemon from starting: the token would expire within the hour anyway.
pub(super) fn provision_time_token(resolver: &mut Resolver<'_>) -> Option<Secret> {
    for name in PROVISION {
        let Some(at) = resolver.env.at(name, &mut Vec::new()) else { continue };
        match Secret::token(at.value.trim()) {
            Ok(token) => return Some(token),
            Err(unfit) => {
                let warning = format!("environment {name}: {unfit}, so it isn't a valid token and isn't used");
                if !resolver.warnings.contains(&warning) {
                    resolver.warnings.push(warning);
                }
            }
        }
    }
    None
}

/// Tells whether the persona's user name and password are both set. Adds a warning if only one is.
pub(super) fn persona_is_whole(resolver: &mut Resolver<'_>) -> bool {
    let set = |names: [&'static str; 2]| names.into_iter().find(|name| resolver.env.os(name).is_some());
    let (user, password) = (set(PERSONA_USER), set(PERSONA_PASSWORD));
    let (is, isnt) = match (user, password) {
        (Some(_), Some(_)) => return true,
        (None, None) => return false,
        (Some(user), None) => (user, "GIT_HTTP_PASSWORD nor GITEA_TOKEN"),
        (None, Some(password)) => (password, "GIT_HTTP_USERNAME nor GITEA_USER"),
    };
    resolver.warnings.push(format!("environment {is} is set but neither {isnt}: there is no credential persona"));
    false
}

/// Resolves the images' persona. Its password is read without the line feed that mounted secrets
/// end with.
pub(super) fn resolve_persona(resolver: &mut Resolver<'_>, name: &str) -> SourceConfig {
    let password = match resolver.env.first(&PERSONA_PASSWORD) {
        None => return SourceConfig::Missing("set GIT_HTTP_PASSWORD or GITEA_TOKEN".to_owned()),
        Some(Err(problem)) => return unusable_source(resolver, name, "persona", problem.to_string()),
        Some(Ok(at)) => at,
    };
    match Secret::password(password.value.trim_end_matches(['\r', '\n'])) {
        Ok(secret) => SourceConfig::Persona(secret),
        Err(unfit) => unusable_source(resolver, name, "persona", unfit_password(&password.place.to_string(), unfit)),
    }
}

fn unfit_password(place: &str, unfit: SecretError) -> String {
    format!("{place}: {unfit}, expected a password of 1 to {MAX_SECRET} bytes on one line")
}

/// Resolves the user name. For the images' persona, the images' variables come first.
///
/// # Errors
/// Returns an error if a variable's value isn't a valid user name. A mistake in the file is
/// reported instead.
pub(super) fn resolve_username(
    resolver: &mut Resolver<'_>,
    key: &str,
    written: Option<Placed<String>>,
    from_persona: bool,
) -> Result<Option<String>, String> {
    const EXPECTED: &str = "not a user name, expected 1 to 256 bytes without control characters";
    let variable = from_persona.then(|| resolver.env.first(&PERSONA_USER)).flatten();
    let variable = variable.transpose().map_err(|problem| problem.to_string())?;
    let Some(at) = variable.or(written) else { return Ok(None) };
    if at.value.is_empty() || at.value.len() > MAX_USERNAME || at.value.chars().any(char::is_control) {
        if matches!(at.place, ConfigLocation::Environment(_)) {
            return Err(format!("{}: {EXPECTED}", at.place));
        }
        resolver.reject(at.place, key, EXPECTED);
        return Ok(None);
    }
    Ok(Some(resolver.record_place(key, at)))
}

/// Returns the variable that holds this source's secret, if one of the images' variables does.
pub(super) fn variable_of(resolver: &Resolver<'_>, source: &SourceConfig) -> Option<ConfigLocation> {
    let set = |names: [&'static str; 2]| names.into_iter().find(|name| resolver.env.os(name).is_some());
    let name = match source {
        SourceConfig::Env(token) => {
            let holds = |name: &&str| resolver.env.var(name).is_some_and(|v| v.trim() == token.expose());
            PROVISION.into_iter().find(holds)
        }
        SourceConfig::Persona(_) => set(PERSONA_PASSWORD),
        _ => None,
    };
    name.map(ConfigLocation::Environment)
}

fn resolve_variable(
    resolver: &mut Resolver<'_>,
    credential: &str,
    key: &str,
    variable: &Placed<String>,
) -> Option<SourceConfig> {
    let name = &variable.value;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(plain) {
        resolver.reject(
            variable.place.clone(),
            &format!("{key}.variable"),
            "not the name of a variable, expected one such as \"GHES_TOKEN\"",
        );
        return None;
    }
    let Some(value) = resolver.env.os(name) else { return Some(SourceConfig::Missing(format!("set {name}"))) };
    let Some(value) = value.to_str() else {
        return Some(unusable_source(
            resolver,
            credential,
            "persona",
            format!("environment {name}: it is not UTF-8 text, expected text"),
        ));
    };
    Some(match Secret::password(value.trim_end_matches(['\r', '\n'])) {
        Ok(password) => SourceConfig::Variable { name: name.clone(), password },
        Err(unfit) => {
            unusable_source(resolver, credential, "persona", unfit_password(&format!("environment {name}"), unfit))
        }
    })
}

fn command_env(resolver: &Resolver<'_>) -> BTreeMap<String, String> {
    let withheld = |name: &str| is_withheld(name) || resolver.withheld.iter().any(|w| w == name);
    resolver.env.texts().filter(|(name, _)| !withheld(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// True for variables that a configured command must not see: git
/// hosts' tokens, the persona's password, and the supervisor's variables.
fn is_withheld(name: &str) -> bool {
    gh::TOKEN_VARIABLES.contains(&name) || PERSONA_PASSWORD.contains(&name) || SUPERVISOR_VARIABLES.contains(&name)
}
