//! The place of the shim under its names, as git is told it.
//!
//! git runs a helper that begins with a slash as it stands; a bare name makes
//! it start itself once more and depends on a `PATH` that cron and sudo's
//! `secure_path` replace (gitcredentials(7)).

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::{ASKPASS, HELPER};
use crate::system::advice::AdviceError;
use crate::system::environment;

const USUAL_FOLDER: &str = "/usr/local/bin";
const THIS_PROGRAM: &str = "/proc/self/exe";
const BROKER: &str = "molecule-broker";

/// The value of git's `credential.helper` that leads to our helper.
///
/// # Errors
/// It isn't installed, or in a place that git can't be told; with the remedy.
pub fn helper_value() -> Result<String, AdviceError> {
    let remedy = format!("install the shim as {USUAL_FOLDER}/{HELPER}");
    let advice = |what| AdviceError::new(what, remedy.clone());
    let path = find(HELPER)
        .ok_or_else(|| advice(format!("{HELPER} isn't beside {BROKER}, not in {USUAL_FOLDER} and not on PATH")))?;
    let text = path.to_str().filter(|text| !text.contains(char::is_control));
    text.map(shell_command).ok_or_else(|| advice(format!("git can't be told the path {path:?}")))
}

/// The path of askpass. git runs it without a shell, so it isn't quoted.
#[must_use]
pub fn askpass_path() -> PathBuf {
    find(ASKPASS).unwrap_or_else(|| Path::new(USUAL_FOLDER).join(ASKPASS))
}

/// The path by which the program is installed, and not where its links lead:
/// that is another name, and perhaps a folder that an upgrade takes away.
fn find(name: &str) -> Option<PathBuf> {
    let own = fs::read_link(THIS_PROGRAM).ok().and_then(|us| us.parent().map(Path::to_owned));
    let on_path: Vec<PathBuf> = environment::os("PATH")
        .map(|path| env::split_paths(&path).filter(|folder| folder.is_absolute()).collect())
        .unwrap_or_default();
    let is_us = fs::metadata(THIS_PROGRAM).map(same_file).ok();
    // Folders in which we are installed too come first, then all others.
    let ours = [USUAL_FOLDER.into()].into_iter().chain(on_path.iter().cloned());
    let ours = ours.filter(|folder: &PathBuf| is_us.as_ref().is_some_and(|is_us| is_us(&folder.join(BROKER))));
    let all = ours.chain(own).chain(on_path.iter().cloned()).chain([USUAL_FOLDER.into()]);
    all.map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn same_file(us: Metadata) -> impl Fn(&Path) -> bool {
    move |path| fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (us.dev(), us.ino()))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0)
}

/// The path as a shell's command. git hands a helper to a shell, and tells a
/// path by its first byte, so that can't be a quote.
fn shell_command(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "/._-+,@:".contains(c);
    path.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git_config::names_helper;

    #[test]
    fn a_path_with_a_shells_characters_is_one_word_and_still_a_path() {
        assert_eq!(shell_command("/usr/local/bin/git-credential-molecule"), "/usr/local/bin/git-credential-molecule");
        let value = shell_command("/opt/a b$(x)'\"/ä/git-credential-molecule");
        assert_eq!(value, r#"/opt/a\ b\$\(x\)\'\"/ä/git-credential-molecule"#);
        assert!(names_helper(&value));
    }
}
