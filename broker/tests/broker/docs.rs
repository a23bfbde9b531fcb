//! The documents are true: every test, state, class, metric and command that
//! they name exists, and lists that promise to be complete are complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use molecule_broker::cli::Cli;
use molecule_broker::credential::lease::Class;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Returns the texts in single backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

fn sources(folder: &Path, to: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            sources(&path, to);
        } else if path.extension().is_some_and(|e| e == "rs") {
            to.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_claim_of_the_threat_model_points_at_a_test_that_exists() {
    let mut code = String::new();
    ["protocol", "shim", "broker", "tests"].iter().for_each(|part| sources(&root().join(part), &mut code));
    let model = document("threat-model.md");
    let held = model.split("## What is held").nth(1).unwrap().split("## What is not held").next().unwrap();
    let mut claims = 0;
    for line in
        held.lines().filter(|line| line.starts_with("| ") && !line.contains("---") && !line.contains("its test"))
    {
        let tests = quoted(line.trim_end_matches(['|', ' ']).rsplit_once('|').unwrap().1);
        assert!(!tests.is_empty(), "no test for: {line}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "there is no test {test}");
        }
        claims += 1;
    }
    assert!(claims > 15);
}

#[test]
fn the_operating_guide_explains_every_state_class_and_metric() {
    let guide = document("operating.md");
    let known: BTreeSet<&str> = quoted(&guide).into_iter().collect();
    let held = fs::read_to_string(root().join("broker/src/refresh/held.rs")).unwrap();
    let states = held.split("impl CredentialState").nth(1).unwrap().split("=> \"").skip(1);
    let states: Vec<&str> = states.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(states.len(), 7);
    for word in states.into_iter().chain(Class::ALL.map(Class::name)) {
        assert!(known.contains(word), "{word}");
    }
    for line in fs::read_to_string(root().join("broker/src/daemon/metrics.rs")).unwrap().split("register(").skip(1) {
        let name = line.split('"').nth(1).unwrap();
        assert!(guide.contains(&format!("molecule_broker_{name}")), "the metric {name} isn't explained");
    }
}

/// Returns the first clause of more than 12 bytes that contains no value.
fn clause(literal: &str) -> Option<String> {
    let parts = literal
        .split('{')
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { part.split_once('}').map_or("", |p| p.1) });
    let mut clauses = parts.flat_map(|part| part.split([',', ';', ':'])).map(str::trim);
    let words = clauses.find(|clause| clause.len() > 12)?;
    Some(words.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn the_operating_guide_explains_every_logged_warning_and_error() {
    let mut code = String::new();
    sources(&root().join("broker/src"), &mut code);
    let guide = document("operating.md");
    let (mut count, mut missing) = (0, Vec::new());
    for opener in [
        "tracing::warn!(",
        "tracing::error!(",
        "log::warn(",
        ".planning_failed(",
        ".schedule_restart(",
        "warnings.push(",
        "const GONE: &str =",
    ] {
        for call in code.split(opener).skip(1).filter_map(|rest| rest.split(";\n").next()) {
            let Some(literal) = call.split_once('"').and_then(|(_, rest)| rest.split('"').next()) else { continue };
            let Some(clause) = clause(&literal.replace("\\\n", " ")) else { continue };
            if !guide.contains(&clause) {
                missing.push(clause);
            }
            count += 1;
        }
    }
    assert!(missing.is_empty(), "docs/operating.md doesn't explain these log lines: {missing:#?}");
    assert!(count > 25, "only {count} lines were found");
}

#[test]
fn every_command_in_a_block_is_one_that_the_program_takes() {
    let mut names: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.push(root().join("README.md"));
    let mut commands = 0;
    for name in names.iter().filter(|name| name.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(name).unwrap();
        for line in text.split("```sh").skip(1).flat_map(|block| block.split("```").next().unwrap().lines()) {
            for part in line.split(" && ").map(str::trim).filter(|part| part.starts_with("molecule-broker ")) {
                let words = part.split(" #").next().unwrap().split_whitespace();
                let parsed = Cli::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{}: {part}: {}", name.display(), parsed.unwrap_err());
                commands += 1;
            }
        }
    }
    assert!(commands > 8);
}
