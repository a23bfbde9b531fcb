//! Start of programs that an operator configures: a hook, a `command` source, or a sink's program.
//! The program, and all that it starts, is killed as soon as the daemon no longer waits for it.
//!
//! An image sets `PATH` and `HOME` for its agent. Files that the agent can write there must not run
//! as another user: a `curl` in a folder of the agent's, or a `~/.local/lib/python3` in its home.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid};
use tokio::process::{Child, Command};

use crate::system::{trust, users};

/// Working folder of the programs. A folder of the agent's could hold files that a program looks up
/// in its working folder.
const FOLDER: &str = "/";

/// Variables, besides `PATH`, that name a folder.
const FOLDER_VARIABLES: [&str; 2] = ["HOME", "XDG_RUNTIME_DIR"];

/// Creates a command for a program that will run as `user`. Its whole environment is `env`, without
/// folders of other users. The caller sets the user.
pub fn command(program: impl AsRef<OsStr>, mut env: BTreeMap<String, String>, user: Uid) -> Command {
    remove_foreign_folders(&mut env, user);
    let mut command = Command::new(program);
    command.env_clear().envs(env).current_dir(FOLDER).process_group(0).kill_on_drop(true);
    command
}

/// Process group that is killed on drop, so that everything that a program has started ends with
/// it.
///
/// The leader must not have been waited for, or only just before the drop, so that its pid can't
/// have been given to another process.
pub struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Returns the group that this child leads.
    #[must_use]
    pub fn led_by(leader: &Child) -> Self {
        let leader = leader.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.map(Pid::from_raw))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that no process of the group is left.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Removes every folder that belongs to neither this user nor root, or that every user can write
/// to. A home of another user is replaced by this user's own.
fn remove_foreign_folders(env: &mut BTreeMap<String, String>, user: Uid) {
    if let Some(path) = env.get_mut("PATH") {
        let folders = std::env::split_paths(path).filter(|folder| trust::is_theirs(folder, user));
        // Folders that were split at colons contain none, so they can be joined again.
        *path = std::env::join_paths(folders).ok().and_then(|path| path.into_string().ok()).unwrap_or_default();
    }
    for name in FOLDER_VARIABLES {
        if env.get(name).is_some_and(|folder| !trust::is_theirs(Path::new(folder), user)) {
            env.remove(name);
        }
    }
    env.entry("HOME".to_owned()).or_insert_with(|| {
        let home = users::user_of(user).home.filter(|home| trust::is_theirs(home, user));
        home.map_or_else(|| FOLDER.to_owned(), |home| home.display().to_string())
    });
}

/// Returns the error text for a program that can't be started. It also says in which folders the
/// program was looked for.
#[must_use]
pub fn not_started(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => format!(
            "can't be started: {error}: it isn't in any folder of PATH that only root or uid {} can write to; \
             give its whole path",
            Uid::effective()
        ),
        _ => format!("can't be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn folders_of_other_users_are_dropped_from_path_and_home() {
        let root = molecule_test_kit::temp_folder();
        let folder = |name: &str, mode| {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            folder.display().to_string()
        };
        let (ours, open, theirs) = (folder("ours", 0o755), folder("open", 0o777), folder("theirs", 0o755));
        let seen = |home: &str| {
            let path = [&open, &ours, &theirs, "relative", "/nowhere"].join(":");
            let names = [("PATH", path.as_str()), ("HOME", home), ("XDG_RUNTIME_DIR", home), ("LANG", "C")];
            let mut env = names.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            remove_foreign_folders(&mut env, Uid::effective());
            env
        };
        // A user without an entry in the database has no home.
        let own = users::user_of(Uid::effective()).home.filter(|home| trust::is_theirs(home, Uid::effective()));
        let own = own.map_or_else(|| FOLDER.to_owned(), |home| home.display().to_string());
        assert_eq!(seen(&ours)["HOME"], ours);
        assert_eq!(seen(&ours)["LANG"], "C");
        assert_eq!(seen(&open)["HOME"], own);
        assert!(!seen(&open).contains_key("XDG_RUNTIME_DIR"));
        if chown(&theirs, Some(12345), None).is_err() {
            println!("SKIP: only root can give a folder away");
            return;
        }
        assert_eq!(seen(&theirs)["PATH"], ours);
        assert_eq!(seen(&theirs)["HOME"], own);
    }
}
