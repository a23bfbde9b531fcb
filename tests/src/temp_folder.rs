//! Temporary folders of the stand-ins: below `TMPDIR` if its path is short
//! enough, otherwise in a folder where a socket's path fits and files can be
//! created.

use std::env;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The longest path of a parent folder. A socket's path has at most 107 bytes
/// (unix(7)). Below such a parent, the longest socket path and the folder's own
/// name take fewer than 47.
const MAX_PARENT: usize = 60;

/// Creates a folder that is removed when the returned value is dropped.
///
/// # Errors
/// No folder can be used. The text names each folder that was tried, and the
/// remedy.
pub fn new_folder(prefix: &str) -> Result<TempDir, String> {
    let usual = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
    folder_in(&[&[env::temp_dir()], &usual[..]].concat(), prefix)
}

fn folder_in(parents: &[PathBuf], prefix: &str) -> Result<TempDir, String> {
    let mut faults = String::new();
    for parent in parents {
        match below(parent, prefix) {
            Ok(folder) => return Ok(folder),
            Err(fault) => faults.push_str(&format!("\n  {}: {fault}", parent.display())),
        }
    }
    Err(format!(
        "no temporary folder can be used; set TMPDIR to one of at most {MAX_PARENT} bytes where files can be made:{faults}"
    ))
}

fn below(parent: &Path, prefix: &str) -> Result<TempDir, String> {
    // The broker refuses a socket below a symbolic link, and a relative path
    // names a different place for each program.
    let parent = parent.canonicalize().map_err(|error| error.to_string())?;
    let length = parent.as_os_str().len();
    if length > MAX_PARENT {
        return Err(format!("its path has {length} bytes, and a socket's path must fit into 107"));
    }
    tempfile::Builder::new().prefix(prefix).tempdir_in(&parent).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_long_or_missing_parent_is_skipped() {
        let short = tempfile::tempdir_in("/tmp").unwrap();
        let long = short.path().join("x".repeat(90));
        fs::create_dir(&long).unwrap();
        let parents = [long.clone(), short.path().join("missing"), short.path().to_path_buf()];
        let made = folder_in(&parents, "molecule-").unwrap();
        assert_eq!(made.path().parent(), Some(short.path()));
        assert!(made.path().join("bench/cache/socket").as_os_str().len() < 107);

        let refusal = folder_in(&parents[..2], "molecule-").unwrap_err();
        for part in ["set TMPDIR to one of at most 60 bytes", "its path has", "No such file"] {
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
