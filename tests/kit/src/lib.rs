//! Code that the tests of every crate share.
//!
//! - [`start`]: commands that inherit none of the caller's git variables;
//! - [`ability`]: abilities of this machine, each tested by trying it;
//! - [`reach`]: copies of programs in places where every user can run them.

pub mod ability;
pub mod reach;
pub mod start;

pub use ability::{Ability, can};
pub use reach::reachable;
pub use start::{machine_tool, program};

/// Prints that a check is skipped, and why: a check that can't run here must
/// not look like a pass. `tests/run` counts these lines.
pub fn skip(reason: &str) {
    println!("SKIP: {reason}");
}

/// Returns true in a full run, `tests/run --all`. Property tests then try more
/// cases, and the slowest tests run at all.
#[must_use]
pub fn is_full_run() -> bool {
    std::env::var_os("MOLECULE_TESTS_ALL").is_some()
}

/// Returns true in a full run. Otherwise prints that the test is left out.
#[must_use]
pub fn only_in_full_run(what: &str) -> bool {
    if !is_full_run() {
        skip(&format!("{what}: slow, run it with tests/run --all"));
    }
    is_full_run()
}

/// Creates a temporary folder that only this user can enter and write to.
///
/// The mode is set afterwards: `tempfile` leaves it to the umask, which belongs
/// to the whole process, and other tests of this process change that.
///
/// # Panics
/// If the folder can't be created.
#[must_use]
pub fn temp_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(folder.path(), mode).expect("the mode of the temporary folder");
    folder
}
