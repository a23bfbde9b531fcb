//! The table of `docs/compatibility.md`, which `tests/matrix --write` writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::compatibility::cell::ROWS;

/// Returns the rows, each with the program and a cell for each Debian.
fn table() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("<!-- the table").unwrap();
    let (table, _) = rest.split_once("<!-- end of the table").unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.map(cells).collect()
}

#[test]
fn rule57_every_cell_of_the_page_is_filled() {
    for row in table() {
        assert_eq!(row.len(), 4, "{row:?}");
        for result in row[1..].iter().flat_map(|cell| cell.split("<br>")) {
            let skipped = result.contains("skip: ") && !result.ends_with("skip: ");
            assert!(result.ends_with(": ok") || skipped, "{row:?}");
        }
    }
}

#[test]
fn rule57_the_page_has_every_program_and_three_gits() {
    let table = table();
    let rows: BTreeSet<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(rows, BTreeSet::from(ROWS));
    for row in table.iter().filter(|row| row[0].starts_with("git: ")) {
        let versions: BTreeSet<&str> = row[1..].iter().map(|cell| cell.split(':').next().unwrap()).collect();
        assert_eq!(versions.len(), 3, "{row:?}");
        assert!(row[1].starts_with("2.39.") && row[2].starts_with("2.47."), "{row:?}");
    }
}
