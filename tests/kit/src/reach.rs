//! Programs in a place where every user can run them. In a checkout below a
//! home folder with mode 0700, other users can't run what was built.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::start;

const SEARCHED_BY_OTHERS: u32 = 0o001;

/// Returns the program's own path if every user can run it there. Otherwise
/// returns the path of a copy in `folder`, which every user must be able to
/// reach.
///
/// # Panics
/// If the copy can't be created.
pub fn reachable(path: &Path, folder: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let is_open =
        |path: &Path| fs::metadata(path).is_ok_and(|there| there.permissions().mode() & SEARCHED_BY_OTHERS != 0);
    if path.ancestors().all(is_open) {
        return path;
    }
    let copy = folder.join(path.file_name().expect("a program has a name"));
    if !copy.exists() {
        copy_by_another_process(&path, &copy);
    }
    copy
}

/// Lets another process write the copy. Otherwise a process that this one forks
/// meanwhile would hold the copy open for writing, and then it can't be run
/// (ETXTBSY, execve(2)).
fn copy_by_another_process(from: &Path, to: &Path) {
    let mut install = start::program("install");
    let status = install.args(["-m", "755"]).args([from, to]).status();
    assert!(status.is_ok_and(|status| status.success()), "{} can't be copied to {}", from.display(), to.display());
}
