//! Tests without a file: configurations from the images' variables alone.

use std::path::Path;

use super::*;
use crate::config::{LogFormat, SourceConfig};

const PLATFORM: (&str, &str) = ("PLATFORM_URL", "https://platform.example");
const PERSONA: [(&str, &str); 2] = [("GITEA_USER", "bot"), ("GITEA_TOKEN", "hunter2")];

#[test]
fn a_platform_makes_github_with_the_frozen_token_as_fallback() {
    let config = from_env(&[PLATFORM, ("WORKSPACE_ID", "w-1"), ("GH_TOKEN", "ghs_frozen")]);
    assert_eq!(names(&config), ["github"]);
    let github = &config.credentials[0];
    let SourceConfig::Platform(settings) = &github.source else { panic!("{:?}", github.source) };
    assert_eq!((&*settings.url, &*settings.workspace_id), ("https://platform.example", "w-1"));
    assert_eq!(settings.bearer_path, Path::new("/configs/.auth_token"));
    assert!(matches!(&github.fallback, Some(SourceConfig::Env(token)) if token.expose() == "ghs_frozen"));
    assert_eq!(origins(github), ["github.com", "gist.github.com"]);
    assert_eq!(&*github.username, "x-access-token");
}

#[test]
fn without_a_platform_the_frozen_token_is_the_source() {
    let config = from_env(&[("GITHUB_TOKEN", "ghs_one"), ("GH_TOKEN", "ghs_two")]);
    let github = config.credential("github").unwrap();
    assert!(matches!(&github.source, SourceConfig::Env(token) if token.expose() == "ghs_one"));
    assert!(github.fallback.is_none());
}

#[test]
fn without_platform_and_token_github_says_what_to_set() {
    let config = from_env(&[]);
    assert_eq!(names(&config), ["github"]);
    let SourceConfig::Missing(what) = &config.credentials[0].source else { panic!() };
    assert!(what.contains("PLATFORM_URL"));
}

#[test]
fn the_persona_needs_both_halves_and_each_falls_back_on_its_own() {
    let config = from_env(&[("GIT_HTTP_USERNAME", ""), ("GIT_HTTP_PASSWORD", "secret\n"), PERSONA[0], PERSONA[1]]);
    let persona = config.credential("persona").unwrap();
    assert_eq!((&*persona.username, &persona.scope), ("bot", &CredentialScope::Any));
    assert!(matches!(&persona.source, SourceConfig::Persona(password) if password.expose() == "secret"));
    assert!(persona.is_persona());
    for half in PERSONA {
        let config = from_env(&[half]);
        assert_eq!(names(&config), ["github"]);
        assert!(config.warnings[0].contains(half.0), "{:?}", config.warnings);
    }
}

#[test]
fn an_unscoped_persona_brings_a_warning_and_a_scoped_one_none() {
    assert!(from_env(&PERSONA).warnings[0].contains("MOLECULE_BROKER_PERSONA_HOSTS"));
    let scoped = from_env(&[PERSONA[0], PERSONA[1], ("MOLECULE_BROKER_PERSONA_HOSTS", "Git.Example.com:3000, *.corp")]);
    assert_eq!(scoped.warnings, Vec::<String>::new());
    assert_eq!(origins(scoped.credential("persona").unwrap()), ["git.example.com:3000", "*.corp"]);
}

#[test]
fn rule51_a_claimed_host_never_falls_to_the_persona() {
    for env in [vec![], vec![("ENABLE_GITHUB_MIRROR_CREDENTIALS", "false"), PLATFORM, ("GH_TOKEN", "ghs_x")]] {
        let config = from_env(&[&env[..], &PERSONA].concat());
        assert_ne!(owner_of(&config, "github.com"), Some("persona"));
        assert_ne!(owner_of(&config, "gist.github.com"), Some("persona"));
        assert_eq!(owner_of(&config, "git.example.com"), Some("persona"));
    }
}

#[test]
fn rule51_a_switched_off_github_keeps_its_hosts_claimed() {
    for off in ["false", "0", "FALSE"] {
        let off = [("ENABLE_GITHUB_MIRROR_CREDENTIALS", off), PLATFORM, PERSONA[0], PERSONA[1]];
        let hosts = [("MOLECULE_BROKER_HOSTS", "ghe.example,github.com")];
        let config = from_env(&[&off[..], &hosts].concat());
        assert_eq!(names(&config), ["persona"]);
        assert_eq!(owner_of(&config, "ghe.example"), None);
        let named = [("MOLECULE_BROKER_PERSONA_HOSTS", "ghe.example")];
        let config = from_env(&[&off[..], &hosts, &named].concat());
        assert_eq!(owner_of(&config, "ghe.example"), Some("persona"));
        assert_eq!(config.claims.iter().map(ToString::to_string).collect::<Vec<_>>(), ["github.com"]);
    }
    assert_eq!(names(&from_env(&[("ENABLE_GITHUB_MIRROR_CREDENTIALS", "true"), PLATFORM])), ["github"]);
}

#[test]
fn the_owner_of_the_configs_folder_may_ask_by_default() {
    assert_eq!(uids(&from_env(&[]).socket.allow), [AGENT]);
    assert_eq!(uids(&from_env(&[("CONFIGS_DIR", "/nowhere")]).socket.allow), [0; 0]);
    let listed = from_env(&[("MOLECULE_BROKER_ALLOW_USERS", "agent, 2000,agent")]);
    assert_eq!(uids(&listed.socket.allow), [AGENT, 2000]);
    let supervised = Flags { user: Some("3000".to_owned()), ..Flags::default() };
    assert_eq!(uids(&read(None, &supervised, &[]).unwrap().socket.allow), [3000]);
}

#[test]
fn rule24_a_configs_folder_of_the_overflow_uid_admits_no_user() {
    let config = from_env(&[("CONFIGS_DIR", "/unmapped")]);
    assert_eq!(uids(&config.socket.allow), [0; 0]);
    assert!(config.warnings[0].contains("MOLECULE_BROKER_ALLOW_USERS"), "{:?}", config.warnings);
}

#[test]
fn the_old_refreshers_variables_are_whole_seconds() {
    let config = from_env(&[
        ("TOKEN_REFRESH_INTERVAL_SEC", "600"),
        ("TOKEN_REFRESH_JITTER_SEC", "0"),
        ("TOKEN_REFRESH_INITIAL_DELAY_SEC", "60"),
    ]);
    let policy = &config.credentials[0].policy;
    assert_eq!((policy.interval.as_secs(), policy.jitter.as_secs()), (600, 0));
    assert_eq!(policy.initial_delay.unwrap().as_secs(), 60);
    assert_eq!(from_env(&[]).credentials[0].policy.initial_delay, None);
}

#[test]
fn with_a_root_owned_folder_the_sinks_act_for_an_allowed_user() {
    let env = [("CONFIGS_DIR", "/root-only"), ("MOLECULE_BROKER_SINKS", "file")];
    let named = [&env[..], &[("MOLECULE_BROKER_ALLOW_USERS", "0,agent")]].concat();
    let sinks = from_env(&named).sinks;
    assert_eq!((sinks.user.unwrap(), sinks.file.unwrap()), (agent(), "/home/agent/.gh_token".into()));
    // The owner of the folder, if that user may ask too.
    let both = [("MOLECULE_BROKER_SINKS", "file"), ("MOLECULE_BROKER_ALLOW_USERS", "4000,agent")];
    assert_eq!(from_env(&both).sinks.user.unwrap(), agent());
    // The user that the supervisor names, even if other users may ask.
    let flags = Flags { user: Some("agent".into()), ..Flags::default() };
    let others = [("MOLECULE_BROKER_SINKS", "file"), ("MOLECULE_BROKER_ALLOW_USERS", "4000")];
    assert_eq!(read(None, &flags, &others).unwrap().sinks.user.unwrap(), agent());
    // Without an allowed user other than root: the daemon's own user.
    assert!(from_env(&env).sinks.user.unwrap().uid.is_root());
}

#[test]
fn sinks_are_off_unless_named_and_act_in_the_agents_home() {
    assert_eq!(from_env(&[]).sinks.user, None);
    let sinks = from_env(&[("MOLECULE_BROKER_SINKS", "gh,file")]).sinks;
    assert!(sinks.gh);
    assert_eq!(sinks.file.unwrap(), Path::new("/home/agent/.gh_token"));
    assert_eq!((sinks.user.unwrap(), &*sinks.credential), (agent(), "github"));
}

#[test]
fn socket_and_log_come_from_their_variables() {
    let config = from_env(&[
        ("MOLECULE_BROKER_SOCKET", "/tmp/s"),
        ("MOLECULE_BROKER_LOG", "debug"),
        ("MOLECULE_BROKER_LOG_FORMAT", "json"),
    ]);
    assert_eq!((config.socket.path.as_path(), config.socket.mode), (Path::new("/tmp/s"), 0o666));
    assert_eq!((&*config.log.filter, config.log.format), ("debug", LogFormat::Json));
    assert_eq!(from_env(&[]).socket.path, Path::new("/run/molecule-broker/broker.sock"));
}

#[test]
fn a_misspelt_variable_of_ours_brings_a_warning() {
    let config = from_env(&[("MOLECULE_BROKER_HOST", "x"), ("MOLECULE_BROKER_SOMETHING", "y")]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("did you mean MOLECULE_BROKER_HOSTS?"));
}

#[test]
fn an_invalid_frozen_token_is_passed_over_and_never_quoted() {
    let config = from_env(&[PLATFORM, ("GITHUB_TOKEN", "not a canary"), ("GH_TOKEN", "ghs_good")]);
    assert!(matches!(&config.credentials[0].fallback, Some(SourceConfig::Env(t)) if t.expose() == "ghs_good"));
    assert!(config.warnings[0].contains("GITHUB_TOKEN") && !config.warnings[0].contains("canary"));
}
