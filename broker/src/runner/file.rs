//! The token in a file, for tools that read nothing else: 0600 from its first
//! byte, whole at every moment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::runner::child::{self, ChildJob};
use crate::system::users::User;

const TIME: Duration = Duration::from_secs(10);

/// The hidden command that writes what it reads, as the user that it runs as.
pub const COMMAND: &str = "keep";

/// Has the token written by a process of its owner-to-be: the folder is that
/// user's, and nothing in it must lead root astray.
///
/// # Errors
/// What that process says.
pub async fn write_as(path: &Path, token: &Zeroizing<String>, user: &User) -> Result<(), String> {
    let argv = [OsString::from("/proc/self/exe"), OsString::from(COMMAND), path.into()];
    let done =
        child::run(ChildJob { argv: &argv, env: Default::default(), stdin: Some(token), user: Some(user), time: TIME });
    done.await.map_err(|error| format!("{} not written: {error}", path.display()))
}

/// Puts the bytes there in one step, as the user that this process is.
///
/// # Errors
/// Which step failed, and the system's reason.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = Path::new(&name);
    let written = create(draft, bytes).and_then(|()| fs::rename(draft, path));
    written.map_err(|error| {
        let _ = fs::remove_file(draft);
        format!("{} can't be written: {error}", path.display())
    })
}

fn create(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a process of the same number left behind.
    let _ = fs::remove_file(draft);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_and_a_link_in_its_place_is_replaced_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(".gh_token"), folder.path().join("other"));
        fs::write(&other, "mine").unwrap();
        symlink(&other, &path).unwrap();
        write(&path, b"ghs_new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ghs_new\n");
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_clear_error() {
        let error = write(Path::new("/nonexistent/.gh_token"), b"ghs_canary").unwrap_err();
        assert!(error.contains("/nonexistent/.gh_token") && !error.contains("canary"), "{error}");
    }
}
