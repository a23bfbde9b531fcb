//! Logs the real gh in, as the old refresher did. The token goes to gh's stdin. The variables that
//! gh would prefer to that login (`GH_TOKEN`, `GITHUB_TOKEN`; gh help auth login) aren't set.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use zeroize::Zeroizing;

use crate::runner::child::{self, ChildJob};
use crate::system::users::User;
use crate::system::{environment, trust};

/// Time limit for the login, in which gh sends one request to GitHub for the token's user.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The name under which the real gh is kept, once the shim has taken the name `gh`.
const MOVED_GH: &str = "gh.distrib";

/// Logs gh in to this host as this user.
///
/// # Errors
/// Returns an error if gh isn't installed, the user has no home folder, or the login fails.
pub async fn log_in(token: &Zeroizing<String>, host: &str, user: &User) -> Result<(), String> {
    let gh = find_gh(environment::os("PATH"), user.uid)
        .ok_or("gh isn't on PATH, so it can't be logged in; install it or drop the sink gh")?;
    let home = user.home.as_ref().ok_or_else(|| format!("user {} has no home folder for gh's login", user.name))?;
    let mut env = crate::runner::minimal_environment(&["GH_CONFIG_DIR", "XDG_CONFIG_HOME"]);
    env.insert("HOME".into(), home.display().to_string());
    env.insert("USER".into(), user.name.clone());
    env.insert("GH_NO_UPDATE_NOTIFIER".into(), "1".into());
    env.insert("GH_TELEMETRY".into(), "false".into());
    env.insert("GH_PROMPT_DISABLED".into(), "1".into());
    let mut argv = vec![gh.into_os_string()];
    argv.extend(["auth", "login", "--with-token"].map(OsString::from));
    // The option doesn't accept a host with a port; the variable does (gh 2.46).
    if host.contains(':') {
        env.insert(molecule_protocol::gh::HOST_VARIABLE.into(), host.into());
    } else {
        argv.extend(["--hostname", host].map(OsString::from));
    }
    child::run(ChildJob { argv: &argv, env, stdin: Some(token), user: Some(user), time_limit: LOGIN_TIMEOUT }).await
}

#[must_use]
pub fn is_installed() -> bool {
    find_gh(environment::os("PATH"), Uid::effective()).is_some()
}

/// Returns the first real gh on this `PATH`, or else the first program named `gh`. That may be the
/// shim, which works too, since it passes `auth login` on. gh runs as `user`, so only folders that
/// this user or root controls are searched.
fn find_gh(path: Option<OsString>, user: Uid) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&path?).filter(|folder| trust::is_theirs(folder, user)).collect();
    let moved = folders.iter().map(|folder| folder.join(MOVED_GH));
    moved.chain(folders.iter().map(|folder| folder.join("gh"))).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn a_gh_that_another_user_could_have_put_there_is_not_run() {
        let root = molecule_test_kit::temp_folder();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        for (folder, name) in [(&first, MOVED_GH), (&second, "gh")] {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        let found = || find_gh(std::env::join_paths([&first, &second]).ok(), Uid::effective()).unwrap();
        assert_eq!(found(), first.join(MOVED_GH));
        fs::set_permissions(&first, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(found(), second.join("gh"));
        fs::set_permissions(&first, Permissions::from_mode(0o755)).unwrap();
        if chown(&first, Some(12345), None).is_err() {
            println!("SKIP: only root can give a folder away");
            return;
        }
        assert_eq!(found(), second.join("gh"));
    }
}
