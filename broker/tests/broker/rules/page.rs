//! `docs/rules.md` is true: every rule has a row and a test with its number, and a
//! row names the files that have such a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const RULES: u32 = 57;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/rules.md")).unwrap()
}

/// Returns every test in the workspace whose name begins with a rule's number, by
/// number, with its file.
fn tests() -> BTreeMap<u32, BTreeSet<(String, String)>> {
    let mut found: BTreeMap<u32, BTreeSet<_>> = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        ["protocol", "shim", "broker", "tests"].map(|member| workspace().join(member)).to_vec();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let file = path.strip_prefix(workspace()).unwrap().display().to_string();
                let text = fs::read_to_string(&path).unwrap();
                // Only a function right below an attribute counts as a test.
                let lines = text.lines().zip(text.lines().skip(1));
                let tests = lines.filter(|(above, _)| above.trim_start().starts_with("#["));
                for name in tests.filter_map(|(_, line)| function(line)) {
                    numbers(name).into_iter().for_each(|number| {
                        found.entry(number).or_default().insert((file.clone(), name.to_owned()));
                    });
                }
            }
        }
    }
    found
}

fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))?;
    rest.split(['(', '<']).next()
}

/// Reads the numbers that a test's name begins with: `rule04_rule05_without…`.
fn numbers(name: &str) -> Vec<u32> {
    let number = |word: &str| word.strip_prefix("rule").filter(|digits| digits.len() == 2)?.parse().ok();
    name.split('_').map_while(number).collect()
}

#[test]
fn every_rule_has_a_test_of_its_number_or_a_reason_on_the_page() {
    let (tests, page) = (tests(), page());
    let (_, without) = page.split_once("## Without a test of that number").unwrap();
    for number in 1..=RULES {
        let reason = without.lines().any(|line| line.starts_with(&format!("- {number}: ")));
        assert!(tests.contains_key(&number) || reason, "rule {number} has neither test nor reason");
    }
}

#[test]
fn every_rule_has_its_row_on_the_page() {
    let page = page();
    for number in 1..=RULES {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| {number} |"))).count();
        assert_eq!(rows, 1, "rule {number}");
    }
}

/// A row names all files that hold a test of its rule, and no others.
#[test]
fn a_rules_row_names_the_files_that_have_a_test_of_it() {
    let (tests, page) = (tests(), page());
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(number) = cells[0].trim_start_matches("| ").parse::<u32>().ok() else { continue };
        let named: BTreeSet<&str> = cells[2].split('`').skip(1).step_by(2).collect();
        let holding: BTreeSet<&str> = tests.get(&number).into_iter().flatten().map(|(file, _)| file.as_str()).collect();
        assert_eq!(named, holding, "rule {number}: the files in its row, and the files with a test of it");
    }
}

/// Run this by hand after a test was added or moved:
/// `cargo test -p molecule-broker --test broker -- --ignored rewrite`
#[test]
#[ignore = "writes the page's column of files anew"]
fn rewrite_the_column_of_files() {
    let tests = tests();
    let mut lines = Vec::new();
    for line in page().lines() {
        let mut cells: Vec<String> = line.split(" | ").map(str::to_owned).collect();
        let number = cells[0].strip_prefix("| ").and_then(|cell| cell.parse::<u32>().ok());
        if let Some(holding) = number.and_then(|number| tests.get(&number)) {
            let files: BTreeSet<String> = holding.iter().map(|(file, _)| format!("`{file}`")).collect();
            cells[2] = files.into_iter().collect::<Vec<_>>().join(", ");
        }
        lines.push(cells.join(" | "));
    }
    fs::write(workspace().join("docs/rules.md"), lines.join("\n") + "\n").unwrap();
}
