//! Tests that the reference and the examples are valid and complete.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::config::raw;
use crate::config::report::report;

/// Sets every variable that the reference mentions.
const ENV: [(&str, &str); 4] = [
    ("PLATFORM_URL", "https://platform.example"),
    ("GITHUB_TOKEN", "ghs_frozen"),
    ("GITEA_USER", "bot"),
    ("GITEA_TOKEN", "hunter2"),
];

const NO_DEFAULT: &str = " # no default";

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the reference's lines with keys and tables, without their comment sign.
fn reference() -> String {
    let text = document("config.reference.toml");
    let is_key = |l: &&str| l.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
    text.lines().filter_map(|l| l.strip_prefix('#')).filter(is_key).map(|l| format!("{l}\n")).collect()
}

#[test]
fn the_reference_as_written_sets_nothing() {
    let config = from_file(&document("config.reference.toml"), &ENV);
    assert!(config.places.values().all(|place| matches!(place, crate::config::ConfigLocation::Environment(_))));
}

#[test]
fn the_reference_uncommented_is_the_default_configuration() {
    let defaults: String = reference().lines().filter(|l| !l.ends_with(NO_DEFAULT)).map(|l| format!("{l}\n")).collect();
    let values = |config: &Config| -> Vec<String> {
        let report = report(config);
        let lines = report.lines().filter(|l| !l.starts_with('#'));
        lines.map(|l| l.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&from_file(&defaults, &ENV)), values(&from_env(&ENV)));
}

#[test]
fn the_reference_lists_every_key_and_each_can_be_used() {
    let text = reference();
    from_file(&text, &ENV);
    let (mut table, mut listed) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        match line.strip_prefix('[') {
            Some(name) => table = name.trim_matches(['[', ']']).to_owned(),
            None => drop(listed.insert(format!("{table}.{}", line.split(" = ").next().unwrap()))),
        }
    }
    let tables = [
        ("socket", raw::SOCKET),
        ("log", raw::LOG),
        ("metrics", raw::METRICS),
        ("refresh", raw::REFRESH),
        ("credential", raw::CREDENTIAL),
        ("sinks", raw::SINKS),
        ("hooks", raw::HOOKS),
    ];
    assert_eq!(tables.map(|(name, _)| name).into_iter().collect::<BTreeSet<_>>(), raw::ROOT.iter().copied().collect());
    let mut known: BTreeSet<_> =
        tables.iter().flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}"))).collect();
    known.remove("credential.refresh");
    known.insert("credential.refresh.interval".to_owned());
    assert_eq!(listed, known);
    let prose = document("config.reference.toml");
    for key in raw::SOURCE {
        assert!(prose.contains(&format!("{key} = ")), "the reference doesn't explain source.{key}");
    }
    for variable in crate::config::env::OWN {
        assert!(prose.contains(variable), "the reference doesn't explain {variable}");
    }
}

#[test]
fn every_example_is_valid_and_serves_the_expected_hosts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let expected = [
        ("gitea-persona.toml", &ENV[..], &[("git.example.com:3000", "persona")][..], "github.com"),
        ("github-app.toml", &ENV[..2], &[("github.com", "github")], "gist.github.com"),
        (
            "github-gitea-enterprise.toml",
            &ENV,
            &[("gist.github.com", "github"), ("git.example.com", "persona"), ("x.pages.corp.example", "enterprise")],
            "elsewhere.example",
        ),
    ];
    assert_eq!(found.collect::<BTreeSet<_>>(), expected.iter().map(|e| e.0.to_owned()).collect());
    for (example, env, served, silent) in expected {
        let config = from_file(&document(&format!("examples/{example}")), env);
        assert_eq!(config.warnings, Vec::<String>::new(), "{example}");
        for (host, owner) in served {
            assert_eq!(owner_of(&config, host), Some(*owner), "{example}: {host}");
        }
        assert_eq!(owner_of(&config, silent), None, "{example}: {silent}");
    }
}
