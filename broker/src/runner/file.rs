//! Writes the token into a file, for tools that can only read a file. The file's mode is 0600 from
//! its first byte, and a reader never sees a partly written token.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::runner::child::{self, ChildJob};
use crate::system::users::User;

const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The hidden command that writes its stdin to a file, as the user that it runs as.
pub const COMMAND: &str = "keep";

/// Writes the token from a process that runs as `user`. The folder belongs to that user, so a link
/// in it must not make root write elsewhere.
///
/// # Errors
/// Returns the error of that process.
pub async fn write_as(path: &Path, token: &Zeroizing<String>, user: &User) -> Result<(), String> {
    let argv = [OsString::from("/proc/self/exe"), OsString::from(COMMAND), path.into()];
    let written = child::run(ChildJob {
        argv: &argv,
        env: Default::default(),
        stdin: Some(token),
        user: Some(user),
        time_limit: WRITE_TIMEOUT,
    });
    written.await.map_err(|error| format!("{} isn't written: {error}", path.display()))
}

/// Writes the bytes and a line feed to a new file and renames it to `path`, as this process's own
/// user.
///
/// # Errors
/// Returns an error with the path and the system's reason.
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
    // An earlier process with the same pid may have left its file behind.
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
    fn the_file_is_private_and_replaces_a_link_in_its_place() {
        let folder = molecule_test_kit::temp_folder();
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
