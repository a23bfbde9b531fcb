//! Tests of the precedence: command line, environment, file, default. The report
//! names the origin of each value.

use super::*;
use crate::config::report::report;

const FILE: &str = "[socket]\npath = \"/file\"\nallow_users = [1]\n[log]\nfilter = \"warn\"\nformat = \"json\"\n\
    [refresh]\ninterval = \"10m\"\n[[credential]]\nname = \"github\"\norigins = [\"file.example\"]\n\
    refresh = { interval = \"5m\" }\n[[credential]]\nname = \"other\"\norigins = [\"o.example\"]\n\
    source = { file = \"/o\" }\nrefresh = { interval = \"6m\" }\n[sinks]\ngh = true\nfile = \"/file/token\"\n";

const ENV: [(&str, &str); 6] = [
    ("MOLECULE_BROKER_SOCKET", "/env"),
    ("MOLECULE_BROKER_ALLOW_USERS", "2"),
    ("MOLECULE_BROKER_LOG", "debug"),
    ("MOLECULE_BROKER_HOSTS", "env.example"),
    ("MOLECULE_BROKER_SINKS", "file"),
    ("TOKEN_REFRESH_INTERVAL_SEC", "120"),
];

#[test]
fn command_line_beats_environment_beats_file_beats_default() {
    let flags = Flags { socket: Some("/flag".into()), log: Some("trace".to_owned()), ..Flags::default() };
    for (flags, env, socket, filter, allow) in [
        (&flags, &ENV[..], "/flag", "trace", 2),
        (&Flags::default(), &ENV, "/env", "debug", 2),
        (&Flags::default(), &[], "/file", "warn", 1),
    ] {
        let config = read(Some(FILE), flags, env).unwrap();
        assert_eq!((config.socket.path.as_path(), &*config.log.filter), (Path::new(socket), filter));
        assert_eq!(uids(&config.socket.allow), [allow]);
    }
}

#[test]
fn a_variable_overrides_the_entry_of_its_own_credential_only() {
    let config = from_file(FILE, &ENV);
    let (github, other) = (config.credential("github").unwrap(), config.credential("other").unwrap());
    assert_eq!(origins(github), ["env.example"]);
    assert_eq!((github.policy.interval.as_secs(), other.policy.interval.as_secs()), (120, 360));
    assert_eq!(from_file(FILE, &[]).credential("github").unwrap().policy.interval.as_secs(), 300);
}

#[test]
fn the_variable_picks_the_sinks_and_the_file_places_them() {
    let sinks = from_file(FILE, &ENV).sinks;
    assert_eq!((sinks.gh, sinks.file.as_deref()), (false, Some(Path::new("/file/token"))));
    let off = from_file(FILE, &[("MOLECULE_BROKER_SINKS", "none")]).sinks;
    assert_eq!((off.gh, off.file, off.user), (false, None, None));
}

#[test]
fn the_report_says_of_each_value_where_it_came_from() {
    let flags = Flags { log: Some("trace".to_owned()), ..Flags::default() };
    let report = report(&read(Some(FILE), &flags, &ENV).unwrap());
    for line in [
        "# configuration file /etc/m.toml",
        "path = \"/env\"  # from environment MOLECULE_BROKER_SOCKET",
        "mode = \"0666\"  # default",
        "filter = \"trace\"  # from command line --log",
        "format = \"json\"  # from /etc/m.toml:6:10",
        "interval = \"2m\"  # from environment TOKEN_REFRESH_INTERVAL_SEC",
        "origins = [\"env.example\"]  # from environment MOLECULE_BROKER_HOSTS",
        "source = { file = \"/o\" }  # from /etc/m.toml:16:10",
        "interval = \"6m\"  # from /etc/m.toml:17:24",
    ] {
        assert!(report.lines().any(|l| l == line), "{line} is not in\n{report}");
    }
}

#[test]
fn the_report_never_shows_a_secret_and_can_be_read_back() {
    let env = [
        ("PLATFORM_URL", "https://platform.example"),
        ("HTTPS_PROXY", "http://user:canary@proxy:3128"),
        ("GITHUB_TOKEN", "ghs_canary"),
        ("GITEA_USER", "bot"),
        ("GITEA_TOKEN", "canary"),
        ("MINE", "canary"),
    ];
    let text = "[[credential]]\nname = \"mine\"\norigins = [\"m.example\"]\nsource = { variable = \"MINE\" }\n\
                [hooks]\non_failure = [\"/bin/tell\", \"a \\\" b\"]\n";
    let config = from_file(text, &env);
    let first = report(&config);
    assert!(first.contains("fallback = \"env\"  # from environment GITHUB_TOKEN"), "{first}");
    assert!(first.contains("source = \"persona\"  # from environment GITEA_TOKEN"), "{first}");
    assert!(first.contains("# https_proxy is set in the environment"), "{first}");
    assert!(!format!("{first}{config:?}").contains("canary"), "{first}");
    let values = |report: &str| -> Vec<String> {
        let lines = report.lines().filter(|l| !l.starts_with('#'));
        lines.map(|l| l.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&report(&from_file(&first, &env))), values(&first));
}

#[test]
fn the_report_of_a_short_interval_can_be_read_back() {
    let own = "[[credential]]\nname = \"github\"\n[credential.refresh]\ninterval = \"5s\"\n";
    let texts = [("", Some("5")), ("[refresh]\ninterval = \"5s\"\n", None), (own, None)];
    for (text, variable) in texts {
        let env = [("PLATFORM_URL", "https://platform.example")].into_iter();
        let env: Vec<_> = env.chain(variable.map(|seconds| ("TOKEN_REFRESH_INTERVAL_SEC", seconds))).collect();
        let config = from_file(text, &env);
        let read_back = from_file(&report(&config), &env);
        assert_eq!(read_back.credentials[0].policy, config.credentials[0].policy);
        assert_eq!(config.credentials[0].policy.jitter.as_millis(), 2500, "half of the interval, unless written");
    }
}
