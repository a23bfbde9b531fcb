//! One of git's configuration files. git itself finds it, reads it and writes
//! into it; only taking out is our own, as git then takes more than it should.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::git_text::{Remainder, without_ours};
use crate::git_config::names_askpass;
use crate::system::exit::{ExitError, FAILED};
use crate::system::{bounded_file, text};

/// git's own status for "there is no such key".
const NO_SUCH_KEY: i32 = 1;

/// git's own status for "there is nothing to unset".
const NOTHING_TO_UNSET: i32 = 5;

const ASKPASS_KEY: &str = "core.askPass";

/// The most that a file of git's configuration may have, in bytes.
const LARGEST: usize = 1024 * 1024;

/// `--system` or `--global`.
pub(super) struct GitFile(pub(super) &'static str);

/// A key and its value, as git prints them.
type Helper = (String, String);

impl GitFile {
    /// Makes an empty helper and ours the last word on a key in this file.
    /// Returns false where they are that already.
    pub(super) fn claim(&self, key: &str, helper: &str) -> Result<bool, ExitError> {
        if holds(&self.helpers()?, key, helper) {
            return Ok(false);
        }
        // Taken out and put at the end: a helper for all hosts that stands
        // between the two places would be asked beside ours. This takes out
        // what an older broker wrote too.
        self.git(&["--unset-all", key], &[0, NOTHING_TO_UNSET])?;
        self.git(&["--add", key, ""], &[0])?;
        self.git(&["--add", key, helper], &[0])?;
        Ok(true)
    }

    /// Takes out what [`Self::claim`] wrote for the keys that `is_meant` says
    /// so of, and what [`Self::set_askpass`] wrote. Returns their keys.
    pub(super) fn release(&self, is_meant: impl Fn(&str) -> bool) -> Result<Vec<String>, ExitError> {
        let mut all = Vec::new();
        for path in self.paths()? {
            let failed = |error: io::Error| ExitError::new(FAILED, format!("{}: {error}", path.display()));
            let (before, _) = bounded_file::read(&path, LARGEST).map_err(failed)?;
            let Remainder { text, removed } = without_ours(&before, &is_meant);
            if !removed.is_empty() {
                replace(&path, &text).map_err(failed)?;
            }
            all.extend(removed);
        }
        Ok(all)
    }

    /// The paths of this file, which git tells beside its entries.
    fn paths(&self) -> Result<BTreeSet<PathBuf>, ExitError> {
        let listed = self.git(&["-z", "--show-origin", "--list"], &[0, NO_SUCH_KEY])?;
        Ok(listed.split('\0').filter_map(|origin| origin.strip_prefix("file:")).map(PathBuf::from).collect())
    }

    /// Every helper in this file, in git's order of reading.
    fn helpers(&self) -> Result<Vec<Helper>, ExitError> {
        let out = self.git(&["-z", "--get-regexp", r"^credential\.(.*\.)?helper$"], &[0, NO_SUCH_KEY])?;
        let entries = out.split('\0').filter(|entry| !entry.is_empty());
        Ok(entries
            .map(|entry| entry.split_once('\n').unwrap_or((entry, "")))
            .map(|(k, v)| (k.into(), v.into()))
            .collect())
    }

    /// Returns false where nothing is to be done: what the user set stays.
    pub(super) fn set_askpass(&self, askpass: &str) -> Result<bool, ExitError> {
        let here = self.askpass()?;
        let is_ours = names_askpass(&here);
        if here == askpass || (!is_ours && !anywhere(ASKPASS_KEY)?.is_empty()) {
            return Ok(false);
        }
        self.git(&[ASKPASS_KEY, askpass], &[0])?;
        Ok(true)
    }

    fn askpass(&self) -> Result<String, ExitError> {
        Ok(self.git(&["--get", ASKPASS_KEY], &[0, NO_SUCH_KEY])?.trim_end_matches('\n').to_owned())
    }

    fn git(&self, arguments: &[&str], fine: &[i32]) -> Result<String, ExitError> {
        let output = Command::new("git").arg("config").arg(self.0).args(arguments).output().map_err(no_git)?;
        if output.status.code().is_some_and(|code| fine.contains(&code)) {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        // A file that isn't there is to git an error like any other.
        if fine.contains(&NO_SUCH_KEY) && said.contains("unable to read config file") && said.contains("No such file") {
            return Ok(String::new());
        }
        let remedy =
            if self.0 == "--system" { "run it as root, or with --global" } else { "look at HOME and at that file" };
        Err(ExitError::new(FAILED, format!("git config {} failed: {}; {remedy}", self.0, text::untrusted(said))))
    }
}

/// A key's value by all that git reads here.
fn anywhere(key: &str) -> Result<Vec<u8>, ExitError> {
    let set = Command::new("git").args(["config", "--get", key]).stderr(Stdio::null()).output();
    Ok(set.map_err(no_git)?.stdout)
}

fn no_git(error: io::Error) -> ExitError {
    ExitError::new(FAILED, format!("git can't be run: {error}; install it, or put it on PATH"))
}

/// Tells if the list for a key ends with nothing but ours: an empty helper and
/// ours, in this order, and no helper for all hosts read after them.
fn holds(helpers: &[Helper], key: &str, helper: &str) -> bool {
    let own: Vec<&str> = helpers.iter().filter(|(k, _)| same_key(k, key)).map(|(_, v)| v.as_str()).collect();
    let after = helpers.iter().rev().take_while(|(k, _)| !same_key(k, key));
    own == ["", helper] && after.into_iter().all(|(k, _)| k != "credential.helper")
}

/// Under the lock by which git keeps others from writing the same file, and at
/// the end of its links, as git does (git's lockfile.c).
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut lock = path.clone().into_os_string();
    lock.push(".lock");
    let mut file = File::options().write(true).create_new(true).open(&lock).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::other(format!("git locks it; if none runs, remove {lock:?}")),
        _ => error,
    })?;
    let written = fs::metadata(&path).and_then(|there| {
        file.set_permissions(there.permissions())?;
        // Only root can, and only root has to.
        let _ = fchown(&file, Some(there.uid()), Some(there.gid()));
        file.write_all(text)?;
        fs::rename(&lock, &path)
    });
    written.inspect_err(|_| _ = fs::remove_file(&lock))
}

/// git prints section and variable in lower case and keeps the URL as written.
fn same_key(printed: &str, key: &str) -> bool {
    printed.eq_ignore_ascii_case(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELPER: &str = "/usr/local/bin/git-credential-molecule";
    const KEY: &str = "credential.https://github.com.helper";

    fn ours(key: &str) -> [Helper; 2] {
        [(key.to_owned(), String::new()), (key.to_owned(), HELPER.to_owned())]
    }

    #[test]
    fn a_helper_for_all_hosts_that_is_read_later_undoes_the_setup() {
        let general = ("credential.helper".to_owned(), "store".to_owned());
        let mut helpers: Vec<_> = [general.clone()].into_iter().chain(ours(KEY)).collect();
        assert!(holds(&helpers, KEY, HELPER) && !holds(&helpers, "credential.https://gist.github.com.helper", HELPER));
        helpers.extend(ours("credential.https://gist.github.com.helper"));
        assert!(holds(&helpers, KEY, HELPER));
        helpers.push(general);
        assert!(!holds(&helpers, KEY, HELPER));
    }

    #[test]
    fn a_helper_by_name_or_in_another_folder_is_not_the_setup() {
        for old in ["molecule", "/opt/git-credential-molecule"] {
            assert!(!holds(&[(KEY.into(), String::new()), (KEY.into(), old.into())], KEY, HELPER), "{old}");
        }
    }
}
