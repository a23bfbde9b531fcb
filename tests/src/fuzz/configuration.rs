//! The configuration file, under an environment.

use std::path::{Path, PathBuf};

use molecule_broker::config::{self, Config, Env, Flags, Place, Problems, Scope, System, report};
use molecule_broker::system::users::{self, User};
use nix::unistd::{Gid, Uid};

const AGENT: u32 = 1000;
/// No message and no report ever shows these.
const CANARIES: [(&str, &str); 3] = [
    ("GIT_HTTP_PASSWORD", "canary-of-the-persona"),
    ("GITHUB_TOKEN", "ghs_canaryOfTheEnvironment"),
    ("HTTPS_PROXY", "http://user:canary-of-the-proxy@proxy.example:3128"),
];

/// Lines of `NAME=VALUE` up to one that is `---`, then the file.
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

/// A machine that never changes: `/configs` belongs to `agent`.
fn read(text: &str, env: &Env) -> Result<Config, Problems> {
    let agent = || User {
        name: String::from("agent"),
        uid: Uid::from_raw(AGENT),
        gid: Gid::from_raw(AGENT),
        home: Some(PathBuf::from("/home/agent")),
    };
    let system = System {
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
        assert!(config.credentials[..at].iter().all(|other| other.name != credential.name), "two of one name");
        let controls = |text: &str| text.chars().any(char::is_control);
        assert!(!credential.name.is_empty() && !controls(&credential.name) && !controls(&credential.username));
        match &credential.scope {
            Scope::Any => {}
            Scope::Patterns(own) => {
                assert!(!own.is_empty(), "{} is for nowhere", credential.name);
                patterns.extend(own.iter().cloned());
            }
        }
    }
    let all = patterns.len();
    patterns.sort_by_key(ToString::to_string);
    patterns.dedup();
    assert_eq!(patterns.len(), all, "an origin that two claim");
    let is_any = |c: &&config::Credential| c.scope == Scope::Any;
    assert!(config.credentials.iter().filter(is_any).count() <= 1, "two take what is left");
}

fn prints_what_can_be_read_back(config: &Config, env: &Env) {
    let printed = report::report(config);
    is_free_of_canaries(&printed);
    // What there is no source for, or is switched off, stands in a comment.
    let is_unconfigured = |credential: &config::Credential| credential.source.kind() == "unconfigured";
    if !config.claims.is_empty() || config.credentials.iter().any(is_unconfigured) {
        return;
    }
    let again =
        read(&printed, env).unwrap_or_else(|problems| panic!("its own report is refused: {problems}\n{printed}"));
    assert_eq!(values(&report::report(&again)), values(&printed), "printed, read, printed");
}

/// Without the comments, which say where it came from.
fn values(printed: &str) -> Vec<&str> {
    let lines = printed.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value)).collect()
}

fn says_what_is_wrong(problems: &Problems) {
    assert!(!problems.0.is_empty(), "refused without a reason");
    for problem in &problems.0 {
        assert!(!problem.what.is_empty());
        if let Place::File { line, column, .. } = problem.place {
            assert!(line > 0 && column > 0);
        }
    }
    is_free_of_canaries(&problems.to_string());
}

fn is_free_of_canaries(text: &str) {
    for word in ["canary-of-the-persona", "canaryOfTheEnvironment", "canary-of-the-proxy"] {
        assert!(!text.contains(word), "{word} is shown: {text}");
    }
}
