//! How a program that an operator names is started: a hook, a `command` source,
//! a sink's. It and all that it starts end with the daemon's interest in it.
//!
//! An image sets `PATH` and `HOME` for its agent, and what the agent can write
//! there must not run as somebody else (a `curl` in its own folder, a
//! `~/.local/lib/python3` in its home).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid};
use tokio::process::{Child, Command};

use crate::system::{trust, users};

/// Where it runs: nothing is looked up beside the agent's files.
const FOLDER: &str = "/";

const FOLDERS: [&str; 2] = ["HOME", "XDG_RUNTIME_DIR"];

/// One that will run as this user, with `env` for its whole environment, but
/// for folders of others.
pub fn command(program: impl AsRef<OsStr>, mut env: BTreeMap<String, String>, user: Uid) -> Command {
    keep_theirs(&mut env, user);
    let mut command = Command::new(program);
    command.env_clear().envs(env).current_dir(FOLDER).process_group(0).kill_on_drop(true);
    command
}

/// Kills a process group when dropped: whatever a program has started goes with
/// it. Its leader has not been waited for until then, or has only just: its
/// number can't have been given anew.
pub struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    #[must_use]
    pub fn led_by(leader: &Child) -> Self {
        let leader = leader.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.map(Pid::from_raw))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that nobody of the group is left.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Leaves out every folder that belongs to neither this user nor root, or that
/// everybody can write to. A home that isn't theirs gives way to their own.
fn keep_theirs(env: &mut BTreeMap<String, String>, user: Uid) {
    if let Some(path) = env.get_mut("PATH") {
        let folders = std::env::split_paths(path).filter(|folder| trust::is_theirs(folder, user));
        // What came out of it can be joined again.
        *path = std::env::join_paths(folders).ok().and_then(|path| path.into_string().ok()).unwrap_or_default();
    }
    for name in FOLDERS {
        if env.get(name).is_some_and(|folder| !trust::is_theirs(Path::new(folder), user)) {
            env.remove(name);
        }
    }
    env.entry("HOME".to_owned()).or_insert_with(|| {
        let home = users::user_of(user).home.filter(|home| trust::is_theirs(home, user));
        home.map_or_else(|| FOLDER.to_owned(), |home| home.display().to_string())
    });
}

/// Why a program can't be started, where it had to be looked for.
#[must_use]
pub fn not_started(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => format!(
            "can't be started: {error}, in none of the folders of PATH that only root or uid {} can write to; \
             name it by its whole path",
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
        let root = tempfile::tempdir().unwrap();
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
            keep_theirs(&mut env, Uid::effective());
            env
        };
        // A user that the database doesn't know has no home.
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
