//! One cell of the version matrix.

use std::thread;

use molecule_tests::skip;

/// Every row of the table: those of this program's tests, and at the end those
/// that `tests/matrix` adds from other test programs.
pub(crate) const ROWS: [&str; 18] = [
    "cargo, git on PATH",
    "cargo, gitoxide",
    "cargo, libgit2",
    "gh",
    "git: 100 MB pushed and cloned",
    "git: clone, fetch and push",
    "git: partial clone",
    "git: push of 300 KB and 3 MB",
    "git-lfs",
    "GitPython",
    "go, git on PATH",
    "go, GOAUTH=git",
    "jj",
    "pip",
    "pre-commit",
    "uv",
    "bubblewrap: a user namespace",
    "OpenSSH: its questions to askpass",
];

/// Prints the cell's line when it is dropped: `FAILED` if the test panics.
pub(crate) struct Cell {
    row: &'static str,
    version: String,
}

impl Cell {
    pub(crate) fn new(row: &'static str, version: impl Into<String>) -> Self {
        assert!(ROWS.contains(&row), "{row} is missing from ROWS");
        Self { row, version: version.into() }
    }

    pub(crate) fn skip(row: &'static str, version: &str, reason: &str) {
        skip(&format!("{row}: {reason}"));
        println!("VERSION: {row} | {version} | skip: {reason}");
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let result = if thread::panicking() { "FAILED" } else { "ok" };
        println!("VERSION: {} | {} | {result}", self.row, self.version);
    }
}
