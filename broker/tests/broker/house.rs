//! Style rules that can be counted, over all crates of the workspace. With
//! `--nocapture` this prints the figures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// First words of doc comments that are fragments without a verb.
const FRAGMENTS: [&str; 9] = ["What", "Who", "Whom", "Whose", "Of", "Whether", "Until", "How", "Where"];
/// Stand-ins for the name of a client, a caller, a user or a process.
const STAND_INS: [&str; 3] = ["nobody", "whoever", "somebody"];
const MAX_FRAGMENTS_PERCENT: usize = 3;
const MAX_STAND_INS: usize = 5;
const MAX_SHARED_TYPE_NAMES: usize = 8;
/// Longest test name in characters, for 95 of 100 tests.
const MAX_TEST_NAME: usize = 60;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(folder: &Path, to: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            rust_files(&path, to);
        } else if path.extension().is_some_and(|end| end == "rs") {
            to.push(path);
        }
    }
}

/// Returns the text of every Rust file below these folders of the workspace.
fn sources(folders: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| rust_files(&workspace().join(folder), &mut files));
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//")
}

/// Returns the first line of each block of doc comments.
fn doc_openings(text: &str) -> Vec<&str> {
    let doc = |line: &'_ str| comment(line).is_some_and(|rest| rest.starts_with(['/', '!']));
    let lines = std::iter::once("").chain(text.lines());
    let blocks = lines.zip(text.lines()).filter(|(before, line)| doc(line) && !doc(before));
    blocks.filter_map(|(_, line)| Some(comment(line)?[1..].trim())).filter(|line| !line.is_empty()).collect()
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    let sources = sources(&["protocol", "shim", "broker", "tests"]);
    let openings: Vec<&str> = sources.iter().flat_map(|text| doc_openings(text)).collect();
    let first_word = |line: &str| line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let fragments: Vec<_> = openings.iter().filter(|line| FRAGMENTS.contains(&first_word(line).as_str())).collect();
    println!("doc comments: {}, of which fragments: {}", openings.len(), fragments.len());
    assert!(openings.len() > 1000, "only {} doc comments were found", openings.len());
    assert!(fragments.len() * 100 <= openings.len() * MAX_FRAGMENTS_PERCENT, "{fragments:#?}");
}

#[test]
fn comments_name_what_they_are_about() {
    let sources = sources(&["protocol", "shim", "broker", "tests"]);
    let comments = sources.iter().flat_map(|text| text.lines()).filter_map(comment).map(str::to_lowercase);
    // `nobody` in backticks is the user of that name.
    let is_vague = |line: &String| {
        let words = line.split('`').step_by(2).flat_map(|text| text.split(|c: char| !c.is_alphabetic()));
        words.into_iter().any(|word| STAND_INS.contains(&word))
    };
    let found: Vec<String> = comments.filter(is_vague).collect();
    println!("comments with a stand-in: {}", found.len());
    assert!(found.len() <= MAX_STAND_INS, "{found:#?}");
}

#[test]
fn few_types_share_a_name() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in sources(&["protocol/src", "shim/src", "broker/src"]) {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
            let definition = ["struct ", "enum ", "type ", "trait "].iter().find_map(|word| line.strip_prefix(word));
            let name = definition.and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
            // `type` inside an impl names another trait's type.
            if let Some(name) = name.filter(|name| name.starts_with(char::is_uppercase) && *name != "Target") {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    let shared: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    println!("types: {}, names that two or more share: {shared:?}", counts.len());
    assert!(counts.len() > 150, "only {} types were found", counts.len());
    assert!(shared.len() <= MAX_SHARED_TYPE_NAMES, "{shared:?}");
}

#[test]
fn test_names_can_be_read_at_a_glance() {
    let mut names = Vec::new();
    for text in sources(&["protocol", "shim", "broker", "tests"]) {
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for pair in lines.windows(2).filter(|pair| pair[0].ends_with("test]") || pair[0].starts_with("#[ignore")) {
            let rest = pair[1].strip_prefix("fn ").or_else(|| pair[1].strip_prefix("async fn "));
            names.extend(rest.and_then(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
    names.sort_by_key(String::len);
    let p95 = &names[names.len() * 95 / 100];
    println!(
        "tests: {}, length of names: median {}, 95th percentile {}",
        names.len(),
        names[names.len() / 2].len(),
        p95.len()
    );
    assert!(names.len() > 900, "only {} tests were found", names.len());
    assert!(p95.len() <= MAX_TEST_NAME, "{} characters: {p95}", p95.len());
}
