//! The paths of the shim under its names, as they are written into git's configuration.
//!
//! git runs a helper whose value begins with a slash directly. For a bare name it starts itself
//! once more, and finds the helper only on `PATH`, which cron and sudo's `secure_path` replace
//! (gitcredentials(7)).

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

/// Returns the value of `credential.helper` with which git runs our helper.
///
/// # Errors
/// Fails, with a remedy, if the helper isn't installed, or if its path can't be written into git's
/// configuration.
pub fn helper_value() -> Result<String, AdviceError> {
    let remedy = format!("install the shim as {USUAL_FOLDER}/{HELPER}");
    let advice = |what| AdviceError::new(what, remedy.clone());
    let path = find(HELPER).ok_or_else(|| {
        advice(format!("{HELPER} isn't in the folder of {BROKER}, nor in {USUAL_FOLDER}, nor on PATH"))
    })?;
    let text = path.to_str().filter(|text| !text.contains(char::is_control));
    text.map(shell_command).ok_or_else(|| advice(format!("git's configuration can't hold the path {path:?}")))
}

/// Returns the path of askpass. git runs it without a shell, so it isn't quoted.
#[must_use]
pub fn askpass_path() -> PathBuf {
    find(ASKPASS).unwrap_or_else(|| Path::new(USUAL_FOLDER).join(ASKPASS))
}

/// Returns the path at which the program is installed. Symbolic links aren't resolved: their target
/// has another name, and may be in a folder that an upgrade removes.
fn find(name: &str) -> Option<PathBuf> {
    let own = fs::read_link(THIS_PROGRAM).ok().and_then(|us| us.parent().map(Path::to_owned));
    let on_path: Vec<PathBuf> = environment::os("PATH")
        .map(|path| env::split_paths(&path).filter(|folder| folder.is_absolute()).collect())
        .unwrap_or_default();
    let is_this_program = fs::metadata(THIS_PROGRAM).map(same_file).ok();
    // Folders that also have this program come first, then all others.
    let ours = [USUAL_FOLDER.into()].into_iter().chain(on_path.iter().cloned());
    let ours =
        ours.filter(|folder: &PathBuf| is_this_program.as_ref().is_some_and(|is_same| is_same(&folder.join(BROKER))));
    let all = ours.chain(own).chain(on_path.iter().cloned()).chain([USUAL_FOLDER.into()]);
    all.map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn same_file(us: Metadata) -> impl Fn(&Path) -> bool {
    move |path| fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (us.dev(), us.ino()))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0)
}

/// Quotes the path as a shell's command. git runs a helper by a shell, and recognises a path by its
/// first byte. So the first byte can't be a quote, and backslashes are used instead.
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
