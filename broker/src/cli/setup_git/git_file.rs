//! One of git's configuration files. git itself finds it, reads it and adds entries. Only the
//! removal is our own, since git would remove more than our entries.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::git_text::{Remainder, remove_ours};
use crate::git_config::names_askpass;
use crate::system::exit::{ExitError, FAILED};
use crate::system::{bounded_file, text};

/// Exit status of `git config` if the key doesn't exist.
const NO_SUCH_KEY: i32 = 1;

/// Exit status of `git config` if there is nothing to unset.
const NOTHING_TO_UNSET: i32 = 5;

const ASKPASS_KEY: &str = "core.askPass";

/// Largest git configuration file that is read, in bytes.
const MAX_FILE: usize = 1024 * 1024;

/// The file that `git config` selects by this option: `--system` or `--global`.
pub(super) struct GitFile(pub(super) &'static str);

/// A key and its value, as git prints them.
type HelperEntry = (String, String);

impl GitFile {
    /// Makes an empty helper and ours the last two helpers that this file sets for a key. Returns
    /// false if they already are.
    pub(super) fn claim(&self, key: &str, helper: &str) -> Result<bool, ExitError> {
        if ends_with_ours(&self.helpers()?, key, helper) {
            return Ok(false);
        }
        // Both are removed and added again at the end: a helper for all hosts
        // that comes after the old place would be asked besides ours. This
        // also removes what an older broker wrote.
        self.git(&["--unset-all", key], &[0, NOTHING_TO_UNSET])?;
        self.git(&["--add", key, ""], &[0])?;
        self.git(&["--add", key, helper], &[0])?;
        Ok(true)
    }

    /// Removes what [`Self::claim`] and [`Self::set_askpass`] wrote, for each key of which
    /// `is_meant` returns true. Returns the removed keys.
    pub(super) fn release(&self, is_meant: impl Fn(&str) -> bool) -> Result<Vec<String>, ExitError> {
        let mut all = Vec::new();
        for path in self.paths()? {
            let failed = |error: io::Error| ExitError::new(FAILED, format!("{}: {error}", path.display()));
            let (before, _) = bounded_file::read(&path, MAX_FILE).map_err(failed)?;
            let Remainder { text, removed } = remove_ours(&before, &is_meant);
            if !removed.is_empty() {
                replace_file(&path, &text).map_err(failed)?;
            }
            all.extend(removed);
        }
        Ok(all)
    }

    /// Returns the paths of this file, which git prints along with its entries.
    fn paths(&self) -> Result<BTreeSet<PathBuf>, ExitError> {
        let listed = self.git(&["-z", "--show-origin", "--list"], &[0, NO_SUCH_KEY])?;
        Ok(listed.split('\0').filter_map(|origin| origin.strip_prefix("file:")).map(PathBuf::from).collect())
    }

    /// Returns every helper in this file, in git's order of reading.
    fn helpers(&self) -> Result<Vec<HelperEntry>, ExitError> {
        let out = self.git(&["-z", "--get-regexp", r"^credential\.(.*\.)?helper$"], &[0, NO_SUCH_KEY])?;
        let entries = out.split('\0').filter(|entry| !entry.is_empty());
        Ok(entries
            .map(|entry| entry.split_once('\n').unwrap_or((entry, "")))
            .map(|(k, v)| (k.into(), v.into()))
            .collect())
    }

    /// Sets `core.askPass`. Returns false if there was nothing to do: a program that the user set
    /// stays.
    pub(super) fn set_askpass(&self, askpass: &str) -> Result<bool, ExitError> {
        let here = self.askpass()?;
        let is_ours = names_askpass(&here);
        if here == askpass || (!is_ours && !effective_value(ASKPASS_KEY)?.is_empty()) {
            return Ok(false);
        }
        self.git(&[ASKPASS_KEY, askpass], &[0])?;
        Ok(true)
    }

    fn askpass(&self) -> Result<String, ExitError> {
        Ok(self.git(&["--get", ASKPASS_KEY], &[0, NO_SUCH_KEY])?.trim_end_matches('\n').to_owned())
    }

    fn git(&self, arguments: &[&str], accepted: &[i32]) -> Result<String, ExitError> {
        let output = Command::new("git").arg("config").arg(self.0).args(arguments).output().map_err(no_git)?;
        if output.status.code().is_some_and(|code| accepted.contains(&code)) {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        // git has no status of its own for a file that doesn't exist.
        if accepted.contains(&NO_SUCH_KEY)
            && said.contains("unable to read config file")
            && said.contains("No such file")
        {
            return Ok(String::new());
        }
        let remedy = if self.0 == "--system" { "run it as root, or with --global" } else { "check HOME and that file" };
        Err(ExitError::new(FAILED, format!("git config {} failed: {}; {remedy}", self.0, text::untrusted(said))))
    }
}

/// Returns a key's value from all configuration that git reads here.
fn effective_value(key: &str) -> Result<Vec<u8>, ExitError> {
    let set = Command::new("git").args(["config", "--get", key]).stderr(Stdio::null()).output();
    Ok(set.map_err(no_git)?.stdout)
}

fn no_git(error: io::Error) -> ExitError {
    ExitError::new(FAILED, format!("git can't be run: {error}; install it, or put it on PATH"))
}

/// Tells whether the key has exactly an empty helper and ours, in this order, and no helper for
/// all hosts is read after them.
fn ends_with_ours(helpers: &[HelperEntry], key: &str, helper: &str) -> bool {
    let own: Vec<&str> = helpers.iter().filter(|(k, _)| same_key(k, key)).map(|(_, v)| v.as_str()).collect();
    let after = helpers.iter().rev().take_while(|(k, _)| !same_key(k, key));
    own == ["", helper] && after.into_iter().all(|(k, _)| k != "credential.helper")
}

/// Replaces a file's content as git does (git's lockfile.c): under the lock file that keeps other
/// gits from writing it, and at the end of its symbolic links.
fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut lock = path.clone().into_os_string();
    lock.push(".lock");
    let mut file = File::options().write(true).create_new(true).open(&lock).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            io::Error::other(format!("git has locked it; if no git is running, remove {lock:?}"))
        }
        _ => error,
    })?;
    let written = fs::metadata(&path).and_then(|there| {
        file.set_permissions(there.permissions())?;
        // Only root can change the owner, and only root has to.
        let _ = fchown(&file, Some(there.uid()), Some(there.gid()));
        file.write_all(text)?;
        fs::rename(&lock, &path)
    });
    written.inspect_err(|_| _ = fs::remove_file(&lock))
}

/// Compares a key that git printed with ours. git prints section and variable in lower case and
/// keeps the URL as written.
fn same_key(printed: &str, key: &str) -> bool {
    printed.eq_ignore_ascii_case(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELPER: &str = "/usr/local/bin/git-credential-molecule";
    const KEY: &str = "credential.https://github.com.helper";

    fn ours(key: &str) -> [HelperEntry; 2] {
        [(key.to_owned(), String::new()), (key.to_owned(), HELPER.to_owned())]
    }

    #[test]
    fn a_helper_for_all_hosts_that_is_read_later_undoes_the_setup() {
        let general = ("credential.helper".to_owned(), "store".to_owned());
        let mut helpers: Vec<_> = [general.clone()].into_iter().chain(ours(KEY)).collect();
        assert!(
            ends_with_ours(&helpers, KEY, HELPER)
                && !ends_with_ours(&helpers, "credential.https://gist.github.com.helper", HELPER)
        );
        helpers.extend(ours("credential.https://gist.github.com.helper"));
        assert!(ends_with_ours(&helpers, KEY, HELPER));
        helpers.push(general);
        assert!(!ends_with_ours(&helpers, KEY, HELPER));
    }

    #[test]
    fn a_helper_by_name_or_in_another_folder_is_not_the_setup() {
        for old in ["molecule", "/opt/git-credential-molecule"] {
            assert!(!ends_with_ours(&[(KEY.into(), String::new()), (KEY.into(), old.into())], KEY, HELPER), "{old}");
        }
    }
}
