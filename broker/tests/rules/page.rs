//! `docs/rules.md` is true: every rule has a test that carries its number, and
//! every test that the page names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const RULES: u32 = 51;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/rules.md")).unwrap()
}

/// Every function in the workspace whose name begins with a rule's letter and
/// number, by number, with its file.
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
                for name in text.lines().filter_map(function) {
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

/// `a04_a05_without…` is about two.
fn numbers(name: &str) -> Vec<u32> {
    let number = |word: &str| {
        let (letter, digits) = word.split_at_checked(1)?;
        let fits = letter.bytes().all(|b| b.is_ascii_lowercase()) && digits.len() == 2;
        fits.then(|| digits.parse().ok()).flatten()
    };
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

/// A row names files; a file that is named for a rule holds a test of it.
#[test]
fn every_file_that_the_page_names_for_a_rule_has_a_test_of_it() {
    let (tests, page) = (tests(), page());
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(number) = cells[0].trim_start_matches("| ").parse::<u32>().ok() else { continue };
        for file in cells[2].split('`').skip(1).step_by(2) {
            let holds = tests.get(&number).is_some_and(|tests| tests.iter().any(|(at, _)| at == file));
            assert!(holds, "rule {number}: no test of it in {file}");
        }
    }
}

/// Run by hand: `cargo test -p molecule-broker --test rules -- --ignored --nocapture rows`
#[test]
#[ignore = "prints the files for the page's rows"]
fn rows() {
    for (number, tests) in tests() {
        let files: BTreeSet<String> = tests.into_iter().map(|(file, _)| format!("`{file}`")).collect();
        println!("{number}: {}", files.into_iter().collect::<Vec<_>>().join(", "));
    }
}
