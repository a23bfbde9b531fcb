//! Tests that each problem names its location and what is expected, and never a secret.

use proptest::prelude::*;

use super::super::SourceConfig;
use super::*;

/// Checks that a faulty file gives exactly these problems, compared by their beginnings.
#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let found = faults(text, &[]);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "\n   found {found}\nexpected {expected}");
    }
}

#[test]
fn all_faults_are_reported_in_one_run_with_line_and_column() {
    expect(
        "[socket]\nmode = 660\npaht = \"/s\"\n\n[log]\nformat = \"xml\"\nfilter = 7\n\n[refresh]\ninterval = \"45\"\n\
         [[credential]]\nname = \"a\"\nsource = \"plattform\"\norigins = [\"ok.example\", \"ftp://x\", 3]\n",
        &[
            "/etc/m.toml:2:8: socket.mode: the number isn't octal, expected an octal mode such as \"0660\"",
            "/etc/m.toml:3:1: socket.paht: unknown key, did you mean path?",
            "/etc/m.toml:6:10: log.format: not a format, expected \"text\" or \"json\"",
            "/etc/m.toml:7:10: log.filter: wrong type (integer), expected a string",
            "/etc/m.toml:10:12: refresh.interval: not a duration, expected a duration with its unit, such as \"45m\"",
            "/etc/m.toml:13:10: credential.a.source: unknown source, did you mean \"platform\"?; expected",
            "/etc/m.toml:14:26: credential.a.origins: entry 2: not an origin: the scheme must be https or http;",
            "/etc/m.toml:14:37: credential.a.origins: wrong type (integer), expected a string",
        ],
    );
}

#[test]
fn an_unknown_key_is_answered_with_the_known_ones() {
    expect(
        "[log]\ncolour = 1",
        &["/etc/m.toml:2:1: log.colour: unknown key, expected one of: filter, format, audit_file"],
    );
    expect("credentials = []", &["/etc/m.toml:1:1: credentials: unknown key, did you mean credential?"]);
}

#[test]
fn broken_syntax_is_reported_with_its_place() {
    let found = faults("[log]\nfilter = \"info\nformat = \"text\"\n", &[]);
    assert!(found[0].starts_with("/etc/m.toml:2:"), "{found:?}");
    assert!(faults("[log\n", &[])[0].starts_with("/etc/m.toml:1:"));
    assert!(faults("[log]\nfilter = \"a\"\nfilter = \"b\"", &[])[0].starts_with("/etc/m.toml:3:1: duplicate key"));
}

/// The filter's own parser panics on some of these.
#[test]
fn a_log_filter_that_isnt_ascii_is_refused() {
    for filter in ["\u{e9}", "info,\u{e9}=debug", "info,[sp\u{e4}n{time = { x"] {
        let text = format!("[log]\nfilter = \"{filter}\"");
        expect(&text, &["/etc/m.toml:2:10: log.filter: not a log filter, expected one such as"]);
    }
}

/// As a regular expression, the value would take minutes to compile.
#[test]
fn a_log_filter_holds_no_regular_expression() {
    let filter = format!("[span{{field =GITHUB_TO{}KEN}}]", ".".repeat(108));
    assert_eq!(from_file(&format!("[log]\nfilter = \"{filter}\""), &[]).log.filter, filter);
}

#[test]
fn impossible_numbers_are_named_where_they_were_written() {
    expect("[refresh]\ninterval = \"0s\"", &["/etc/m.toml:2:12: refresh.interval: impossible value, expected from 1s"]);
    expect(
        "[refresh]\nlead_max = \"1m\"",
        &["/etc/m.toml:2:12: refresh.lead_min: impossible value, expected from 10ms to lead_max"],
    );
    expect(
        "[refresh]\ninterval = \"1m\"\njitter = \"90s\"",
        &["/etc/m.toml:3:10: refresh.jitter: longer than the interval"],
    );
    expect("[refresh]\nlead_fraction = 1.5", &["/etc/m.toml:2:17: refresh.lead_fraction: impossible value"]);
    expect(
        "[[credential]]\nname = \"github\"\nrefresh = { retry_base = \"2m\" }",
        &["/etc/m.toml:3:26: credential.github.refresh.retry_base: impossible value, expected from 10ms to retry_max"],
    );
}

#[test]
fn two_credentials_cant_share_a_name_or_an_origin() {
    let a = "[[credential]]\nname = \"a\"\nsource = { file = \"/a\" }\norigins = [\"x.example\", \"https://X.example:443\"]\n";
    expect(
        &format!("{a}{a}"),
        &["/etc/m.toml:6:8: credential.a.name: the name is already used at /etc/m.toml:2:8, expected a different one"],
    );
    let b = a.replace("name = \"a\"", "name = \"b\"").replace("\"https://X.example:443\"", "\"y.example\"");
    expect(
        &format!("{a}{b}"),
        &["/etc/m.toml:8:12: credential.b.origins: x.example is also claimed by the credential a,"],
    );
    let any = a.replace(r#"["x.example", "https://X.example:443"]"#, "\"any\"");
    expect(
        &format!("{any}{}", any.replace("name = \"a\"", "name = \"b\"")),
        &["/etc/m.toml:6:8: credential.b.origins: the credential a also takes any origin"],
    );
}

#[test]
fn an_entry_needs_a_name_origins_and_one_source() {
    expect(
        "[[credential]]\nname = \"a\"\n\n[[credential]]\nsource = \"env\"\n",
        &[
            "/etc/m.toml:2:8: credential.a: origins is missing",
            "/etc/m.toml:2:8: credential.a: source is missing",
            "/etc/m.toml:4:1: credential.name: it is missing",
        ],
    );
    expect(
        "[[credential]]\nname = \"a\"\norigins = []\nsource = { file = \"/a\", command = [\"x\"] }\n",
        &[
            "/etc/m.toml:3:11: credential.a.origins: an empty list, expected at least one origin",
            "/etc/m.toml:4:10: credential.a.source: expected exactly one of: platform, variable, file, command",
        ],
    );
}

#[test]
fn only_the_provision_time_token_is_a_fallback() {
    expect(
        "[[credential]]\nname = \"github\"\nfallback = \"persona\"",
        &["/etc/m.toml:3:12: credential.github.fallback: not a fallback, expected \"env\" or \"none\""],
    );
}

#[test]
fn a_tokens_scope_can_not_be_any() {
    expect(
        "[[credential]]\nname = \"github\"\norigins = \"any\"",
        &["/etc/m.toml:3:11: credential.github.origins: not a list"],
    );
}

#[test]
fn metrics_never_leave_the_machine() {
    for far in ["0.0.0.0:9", "[::]:9", "192.0.2.1:9"] {
        expect(
            &format!("[metrics]\nlisten = \"{far}\""),
            &["/etc/m.toml:2:10: metrics.listen: not a loopback address, expected 127.0.0.1:PORT"],
        );
    }
    for near in ["127.0.0.1:9", "[::1]:9", "/run/m/metrics.sock"] {
        assert!(from_file(&format!("[metrics]\nlisten = \"{near}\""), &[]).metrics.is_some());
    }
}

#[test]
fn impossible_paths_users_and_programs_are_refused() {
    let long = format!("/{}", "x".repeat(107));
    expect(
        &format!(
            "[socket]\npath = \"{long}\"\nallow_users = [\"nobody-here\", 1000]\n[log]\naudit_file = \"audit.log\"\n\
             [hooks]\non_refresh = [\"notify\"]\non_failure = []\n[sinks]\nfile = \"~/.gh_token\"\nuser = 4000\n"
        ),
        &[
            "/etc/m.toml:2:8: socket.path: 108 bytes long, expected at most 107",
            "/etc/m.toml:3:16: socket.allow_users: there is no user \"nobody-here\" here",
            "/etc/m.toml:5:14: log.audit_file: not the absolute path of a file",
            "/etc/m.toml:7:15: hooks.on_refresh: no program to run, expected the absolute path",
            "/etc/m.toml:8:14: hooks.on_failure: no program to run",
            "/etc/m.toml:10:8: sinks.file: user 4000 has no home folder here, expected an absolute path",
        ],
    );
}

#[test]
fn faults_in_the_environment_name_their_variable() {
    let env = [
        ("TOKEN_REFRESH_INTERVAL_SEC", "0"),
        ("TOKEN_REFRESH_JITTER_SEC", "2m"),
        ("MOLECULE_BROKER_HOSTS", "github.com,github.com."),
        ("MOLECULE_BROKER_ALLOW_USERS", "nobody-here"),
        ("MOLECULE_BROKER_SINKS", "gh,files"),
    ];
    let problems = read(None, &Flags::default(), &env).unwrap_err().to_string();
    for (name, what) in [
        ("TOKEN_REFRESH_INTERVAL_SEC", "impossible value, expected from 1s"),
        ("TOKEN_REFRESH_JITTER_SEC", "not a whole number, expected seconds such as 2700"),
        ("MOLECULE_BROKER_HOSTS", "entry 2: not an origin: the host must be a plain name"),
        ("MOLECULE_BROKER_ALLOW_USERS", "there is no user"),
        ("MOLECULE_BROKER_SINKS", "unknown sink, did you mean file?"),
    ] {
        let line = format!("environment {name}: {what}");
        assert!(problems.lines().any(|l| l.starts_with(&line)), "{line} is not in\n{problems}");
    }
    assert_eq!(problems.lines().count(), env.len(), "{problems}");
}

/// Each variable makes one credential unusable, with this text.
#[test]
fn rule54_an_unusable_variable_affects_only_its_credential() {
    const PERSONA: [(&str, &str); 2] = [("GIT_HTTP_USERNAME", "bot"), ("GIT_HTTP_PASSWORD", "password")];
    const PLATFORM: (&str, &str) = ("PLATFORM_URL", "https://platform.example");
    let long = "x".repeat(8193);
    for (name, value, unusable, text) in [
        (
            "GIT_HTTP_PASSWORD",
            &*long,
            "persona",
            "environment GIT_HTTP_PASSWORD: it has 8193 bytes, and 8192 is the limit",
        ),
        ("GIT_HTTP_PASSWORD", "two\nlines", "persona", "a byte that no credential may have"),
        ("GIT_HTTP_USERNAME", &long[..257], "persona", "environment GIT_HTTP_USERNAME: not a user name"),
        ("PLATFORM_URL", "platform", "github", "PLATFORM_URL"),
        ("HTTPS_PROXY", "://", "github", "proxy"),
        ("ENABLE_GITHUB_MIRROR_CREDENTIALS", "maybe", "github", "neither yes nor no, expected true or false"),
    ] {
        let env: Vec<_> =
            PERSONA.into_iter().chain([PLATFORM]).filter(|(n, _)| *n != name).chain([(name, value)]).collect();
        let config = from_env(&env);
        assert_eq!(names(&config), ["github", "persona"], "{name}");
        for credential in &config.credentials {
            match &credential.source {
                SourceConfig::Unusable { what, .. } => {
                    assert_eq!(&*credential.name, unusable, "{name}");
                    assert!(what.contains(text), "{name}: {what}");
                    assert!(config.warnings.iter().any(|warning| warning.contains(what)), "{name}");
                }
                _ => assert_ne!(&*credential.name, unusable, "{name}"),
            }
        }
    }
}

#[test]
fn rule54_the_images_token_replaces_an_unusable_platform() {
    let config = from_env(&[("PLATFORM_URL", "platform"), ("GITHUB_TOKEN", "ghs_frozen")]);
    assert!(matches!(config.credentials[0].fallback, Some(SourceConfig::Env(_))));
}

#[test]
fn rule54_a_mistake_in_the_file_stays_an_error() {
    let platform = "[[credential]]\nname = \"github\"\nsource = { platform = \"nowhere\" }\n";
    assert_eq!(faults(platform, &[("HTTPS_PROXY", "http://proxy:1")]).len(), 1);
    let good = platform.replace("nowhere", "https://platform.example");
    let config = from_file(&good, &[("HTTPS_PROXY", "://")]);
    assert!(matches!(config.credentials[0].source, SourceConfig::Unusable { .. }), "the proxy is from the environment");
}

#[test]
fn rule54_a_variable_without_a_password_affects_only_its_entry() {
    let text = "[[credential]]\nname = \"mine\"\norigins = [\"m.example\"]\nsource = { variable = \"MINE\" }\n";
    let config = from_file(text, &[("MINE", "two\nlines"), ("PLATFORM_URL", "https://platform.example")]);
    let source = |name: &str| &config.credential(name).unwrap().source;
    assert!(matches!(source("mine"), SourceConfig::Unusable { what, .. } if what.starts_with("environment MINE: ")));
    assert!(matches!(source("github"), SourceConfig::Platform(_)));
}

#[test]
fn without_a_folder_for_the_socket_the_error_says_what_to_do() {
    let system = SystemLookups {
        uid: Uid::from_raw(1000),
        user: &users::user,
        user_of: &users::user_of,
        group: &users::group,
        owner: &|_| None,
        usable: &|_| false,
    };
    let refused = resolve_sections(None, Default::default(), &Flags::default(), &Env::default(), &system);
    assert!(refused.unwrap_err().to_string().contains("set MOLECULE_BROKER_SOCKET"));
}

#[test]
fn no_fault_quotes_a_secret() {
    let canary = "canary\ncanary";
    for name in ["GIT_HTTP_PASSWORD", "GITEA_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "MINE", "PLATFORM_URL", "HTTPS_PROXY"]
    {
        let env = [("GITEA_USER", "bot"), ("PLATFORM_URL", "https://p"), (name, canary)];
        let text = "[[credential]]\nname = \"mine\"\norigins = [\"m.example\"]\nsource = { variable = \"MINE\" }\n\
                    [[credential]]\nname = \"canary\"\nsource = \"canary\"\norigins = \"canary\"\n";
        for text in [text, &text[..text.find("[[credential]]\nname = \"canary\"").unwrap()]] {
            match read(Some(text), &Flags::default(), &env) {
                Ok(config) => {
                    let shown = format!("{config:?}{}", crate::config::report::report(&config));
                    assert!(!shown.contains("canary"), "{name}: {shown}");
                }
                Err(problems) => {
                    let shown = problems.to_string().replace("credential.canary", "");
                    assert!(!shown.contains("canary"), "{name}: {shown}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_configuration_parser_panic(text in "(\\[{0,2}(socket|log|refresh|credential|sinks|hooks)\\]{0,2}\n|\
        (path|mode|name|origins|source|interval|file|on_refresh) = (\"[a-z0-9/~*:.]{0,5}\"|[0-9]{1,3}|\\[\\]|\\{ file = 1 \\})\n|\\PC){0,12}") {
        let _ = read(Some(&text), &Flags::default(), &[]);
    }
}
