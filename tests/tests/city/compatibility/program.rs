//! The programs of this machine: Debian's, or those that `tests/fetch-programs`
//! fetches from PyPI.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use molecule_tests::machine_tool;
use molecule_tests::programs::{Git, fetched_programs, gits};
use molecule_tests::world::run;

/// Returns the git that programs find first on the agent's `PATH`.
pub(crate) fn git() -> Git {
    let first = |folder: &str| gits().into_iter().find(|git| git.path.starts_with(folder));
    first("/usr/bin").unwrap_or_else(|| gits().remove(0))
}

/// Returns Debian's program, or else PyPI's.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let system = Path::new("/usr/bin").join(name);
    if system.is_file() {
        return Some(system);
    }
    let fetched = fetched()?.join("bin").join(name);
    fetched.is_file().then_some(fetched)
}

/// Returns an interpreter that has this module.
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let system = PathBuf::from("/usr/bin/python3");
    let fetched = fetched().map(|folder| folder.join("bin/python3"));
    [Some(system), fetched].into_iter().flatten().find(|python| {
        let asked = molecule_tests::program(python).args(["-c", &format!("import {module}")]).output();
        asked.is_ok_and(|output| output.status.success())
    })
}

/// Returns the first word of the output that begins with a digit, or with `v`
/// or `go` and a digit.
pub(crate) fn version(program: &Path, arguments: &[&str]) -> String {
    let ran = run(molecule_tests::program(program).args(arguments), Duration::from_secs(60));
    let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    let words = ran.stdout.split([' ', '\n', '/', '(', ')']).map(|word| word.trim_start_matches("go"));
    words.map(|word| word.trim_start_matches('v')).find(is_number).unwrap_or("unknown").to_owned()
}

/// Returns a virtual environment of Python, which is created once.
fn fetched() -> Option<&'static PathBuf> {
    static FETCHED: OnceLock<Option<PathBuf>> = OnceLock::new();
    FETCHED
        .get_or_init(|| {
            let folder = fetched_programs().join("pypi");
            let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch-programs");
            let ran = run(machine_tool(fetch).arg(&folder), Duration::from_secs(300));
            if !ran.success() {
                println!("fetch-programs: {}", ran.stderr.lines().last().unwrap_or("no reason given"));
            }
            ran.success().then_some(folder)
        })
        .as_ref()
}

/// Returns every cargo of this machine that has a rustc beside it: Debian's,
/// and the one that runs this test.
pub(crate) fn cargos() -> Vec<PathBuf> {
    let debian = PathBuf::from("/usr/bin/cargo");
    let mine = env::var_os("CARGO").map(PathBuf::from);
    let found = [Some(debian), mine].into_iter().flatten();
    found.filter(|cargo| cargo.is_file() && cargo.with_file_name("rustc").is_file()).collect()
}
