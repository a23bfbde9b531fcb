//! The configuration file, together with an environment.

use std::path::{Path, PathBuf};

use molecule_broker::config::{
    self, Config, ConfigLocation, CredentialScope, Env, Flags, Problems, SystemLookups, report,
};
use molecule_broker::system::users::{self, User};
use nix::unistd::{Gid, Uid};

const AGENT: u32 = 1000;
/// Values that no message and no report may contain.
const CANARIES: [(&str, &str); 3] = [
    ("GIT_HTTP_PASSWORD", "canary-of-the-persona"),
    ("GITHUB_TOKEN", "ghs_canaryOfTheEnvironment"),
    ("HTTPS_PROXY", "http://user:canary-of-the-proxy@proxy.example:3128"),
];

/// Lines of `NAME=VALUE` up to a line `---`, then the configuration file.
pub fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (head, text) = text.split_once("---\n").unwrap_or(("", &text));
    let variables = head.lines().filter_map(|line| line.split_once('='));
    let env: Env = CANARIES.into_iter().chain(variables).collect();
    match read(text, &env) {
        Ok(config) => {
            is_sound(&config);
            prints_what_can_be_read_back(&config, &env);
        }
        Err(problems) => says_what_is_wrong(&problems),
    }
}

/// Parses it on a machine that never changes, on which `/configs` belongs to
/// `agent`.
fn read(text: &str, env: &Env) -> Result<Config, Problems> {
    let agent = || User {
        name: String::from("agent"),
        uid: Uid::from_raw(AGENT),
        gid: Gid::from_raw(AGENT),
        home: Some(PathBuf::from("/home/agent")),
    };
    let system = SystemLookups {
        uid: Uid::from_raw(0),
        user: &|text| if text == "agent" { Ok(agent()) } else { users::user(text) },
        user_of: &|uid| if uid.as_raw() == AGENT { agent() } else { users::user_of(uid) },
        group: &|text| if text == "agent" { Ok(Gid::from_raw(AGENT)) } else { users::group(text) },
        owner: &|dir| (dir == Path::new("/configs")).then(|| Uid::from_raw(AGENT)),
        usable: &|dir| dir == Path::new("/run/molecule-broker"),
    };
    config::parse(Path::new("/etc/m.toml"), text, &Flags::default(), env, &system)
}

fn is_sound(config: &Config) {
    assert!(config.socket.path.is_absolute() && config.socket.path.as_os_str().len() < 108);
    assert!(config.socket.mode <= 0o777);
    assert_eq!(config.refresh.check(), []);
    let mut patterns = config.claims.clone();
    for (at, credential) in config.credentials.iter().enumerate() {
        assert_eq!(credential.policy.check(), [], "{}", credential.name);
        assert!(
            config.credentials[..at].iter().all(|other| other.name != credential.name),
            "two credentials have the same name"
        );
        let controls = |text: &str| text.chars().any(char::is_control);
        assert!(!credential.name.is_empty() && !controls(&credential.name) && !controls(&credential.username));
        match &credential.scope {
            CredentialScope::Any => {}
            CredentialScope::Patterns(own) => {
                assert!(!own.is_empty(), "{} has no origins", credential.name);
                patterns.extend(own.iter().cloned());
            }
        }
    }
    let all = patterns.len();
    patterns.sort_by_key(ToString::to_string);
    patterns.dedup();
    assert_eq!(patterns.len(), all, "two credentials claim the same origin");
    let is_any = |c: &&config::CredentialConfig| c.scope == CredentialScope::Any;
    assert!(config.credentials.iter().filter(is_any).count() <= 1, "two credentials take all remaining origins");
}

fn prints_what_can_be_read_back(config: &Config, env: &Env) {
    let printed = report::report(config);
    is_free_of_canaries(&printed);
    // Claimed origins without a credential, and credentials without a source,
    // are only in comments of the report.
    let is_unconfigured = |credential: &config::CredentialConfig| credential.source.kind() == "unconfigured";
    if !config.claims.is_empty() || config.credentials.iter().any(is_unconfigured) {
        return;
    }
    let again =
        read(&printed, env).unwrap_or_else(|problems| panic!("its own report is refused: {problems}\n{printed}"));
    assert_eq!(values(&report::report(&again)), values(&printed), "the round trip changes the report");
}

/// Returns the report without its comments, which name the place of each value.
fn values(printed: &str) -> Vec<&str> {
    let lines = printed.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value)).collect()
}

fn says_what_is_wrong(problems: &Problems) {
    assert!(!problems.0.is_empty(), "refused without a problem");
    for problem in &problems.0 {
        assert!(!problem.what.is_empty());
        if let ConfigLocation::File { line, column, .. } = problem.place {
            assert!(line > 0 && column > 0);
        }
    }
    is_free_of_canaries(&problems.to_string());
}

fn is_free_of_canaries(text: &str) {
    for word in ["canary-of-the-persona", "canaryOfTheEnvironment", "canary-of-the-proxy"] {
        assert!(!text.contains(word), "the text contains {word}: {text}");
    }
}
