//! Check that only root and the daemon's user can change a file. A configuration decides which
//! users get credentials and which commands run, and the content of a credential's file is handed
//! out.
//!
//! The file itself and every folder on the way to it, through every symbolic link, must belong to
//! root or to the daemon's user. No other user may be able to write to them, since a user who can
//! write to a folder can put another file in its place. A folder with the sticky bit is fine, since
//! only owners can replace files there.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::Uid;

use crate::system::advice::AdviceError;
use crate::system::bounded_file;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Largest number of symbolic links on the way to a file, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;
const STICKY: u32 = 0o1000;

/// Reads the file, if only root and `user` can change it.
///
/// # Errors
/// Returns an error that says what is wrong, and which command corrects it.
pub(crate) fn read(path: &Path, user: Uid) -> Result<String, AdviceError> {
    folders(path, user)?;
    let failed = |error: std::io::Error| AdviceError::new(format!("it can't be read: {error}"), "").caused_by(error);
    let (file, metadata) = bounded_file::open(path).map_err(failed)?;
    check(path, &metadata, user)?;
    let mut text = String::new();
    let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > MAX_FILE {
        let what = format!("it is longer than {MAX_FILE} bytes, expected a configuration");
        return Err(AdviceError::new(what, ""));
    }
    Ok(text)
}

/// Checks owner and mode of one file or folder.
fn check(path: &Path, metadata: &Metadata, user: Uid) -> Result<(), AdviceError> {
    let shown = path.display();
    if metadata.uid() != 0 && metadata.uid() != user.as_raw() {
        return Err(untrusted_owner(path, metadata.uid(), user));
    }
    let mode = metadata.mode();
    if mode & 0o022 != 0 && !(metadata.is_dir() && mode & STICKY != 0) {
        let what = format!(
            "{shown} can be written by others (mode {:04o}); expected only root or the daemon's user",
            mode & 0o7777
        );
        return Err(AdviceError::new(what, format!("chmod go-w {shown}")));
    }
    Ok(())
}

/// Returns the error about a file of an owner who isn't trusted.
fn untrusted_owner(path: &Path, owner: u32, user: Uid) -> AdviceError {
    let shown = path.display();
    let what = format!(
        "{shown} belongs to uid {owner}, who could change it; expected root or the user who reads it here (uid {user})"
    );
    AdviceError::new(what, format!("chown -h root {shown}"))
}

/// Follows the path as the kernel does, and checks each folder in which it looks up a name.
///
/// # Errors
/// Returns the same errors as [`read`].
pub(crate) fn folders(path: &Path, user: Uid) -> Result<(), AdviceError> {
    let failed = |at: &Path, error: std::io::Error| {
        AdviceError::new(format!("{} can't be read: {error}", at.display()), "").caused_by(error)
    };
    let absolute = std::path::absolute(path).map_err(|e| failed(path, e))?;
    let mut remaining: Vec<PathBuf> = steps(&absolute);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(step) = remaining.pop() {
        if step == Path::new("/") {
            at = step;
            continue;
        }
        let metadata = at.symlink_metadata().map_err(|e| failed(&at, e))?;
        check(&at, &metadata, user)?;
        if step == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        match next.read_link() {
            Ok(target) if links < MAX_LINKS => {
                let owner = next.symlink_metadata().map_err(|e| failed(&next, e))?.uid();
                if owner != 0 && owner != user.as_raw() {
                    return Err(untrusted_owner(&next, owner, user));
                }
                links += 1;
                remaining.extend(steps(&target));
            }
            Ok(_) => return Err(AdviceError::new(format!("{} has too many symbolic links", path.display()), "")),
            Err(_) => at = next,
        }
    }
    Ok(())
}

/// Tells whether everything that a program of this user finds in the folder was put there by this
/// user or by root.
pub(crate) fn is_theirs(folder: &Path, user: Uid) -> bool {
    folder.is_absolute()
        && folder.metadata().is_ok_and(|m| (m.uid() == 0 || m.uid() == user.as_raw()) && m.mode() & 0o002 == 0)
}

/// Returns the parts of a path, the last one first.
fn steps(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev().filter(|c| !matches!(c, Component::CurDir | Component::Prefix(_)));
    parts.map(|c| PathBuf::from(c.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::unistd::geteuid;

    use super::*;

    fn folder_with_file() -> (tempfile::TempDir, PathBuf) {
        let folder = molecule_test_kit::temp_folder();
        let file = folder.path().join("config.toml");
        fs::write(&file, "[log]").unwrap();
        mode(&file, 0o644);
        (folder, file)
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_of_our_own_that_only_we_can_write_is_read() {
        let (_folder, file) = folder_with_file();
        assert_eq!(read(&file, geteuid()).unwrap(), "[log]");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_the_remedy() {
        let (_folder, file) = folder_with_file();
        for bad in [0o664, 0o646] {
            mode(&file, bad);
            let error = read(&file, geteuid()).unwrap_err();
            assert!(error.remedy.contains("chmod go-w") && error.remedy.contains("config.toml"), "{error}");
        }
    }

    #[test]
    fn a_file_in_a_folder_that_others_can_write_is_refused() {
        let (folder, file) = folder_with_file();
        mode(folder.path(), 0o777);
        assert!(read(&file, geteuid()).unwrap_err().remedy.contains("chmod go-w"));
        mode(folder.path(), 0o1777);
        assert!(read(&file, geteuid()).is_ok(), "in a sticky folder only owners replace files");
    }

    #[test]
    fn a_link_through_a_folder_that_others_can_write_is_refused() {
        let ((folder, file), elsewhere) = (folder_with_file(), molecule_test_kit::temp_folder());
        let link = folder.path().join("link.toml");
        symlink(elsewhere.path().join("hop"), &link).unwrap();
        symlink(&file, elsewhere.path().join("hop")).unwrap();
        assert!(read(&link, geteuid()).is_ok());
        mode(elsewhere.path(), 0o777);
        assert!(read(&link, geteuid()).unwrap_err().remedy.contains("chmod go-w"));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !molecule_test_kit::can(&[molecule_test_kit::Ability::GiveAway]) {
            return;
        }
        let (_folder, file) = folder_with_file();
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        let error = read(&file, geteuid()).unwrap_err();
        assert!(error.what.contains("belongs to uid 12345") && error.remedy.contains("chown -h root"), "{error}");
        assert!(read(&file, Uid::from_raw(12345)).is_ok(), "a file of the daemon's own user is read");
    }

    #[test]
    fn a_folder_or_a_missing_file_is_a_clear_error() {
        let (folder, file) = folder_with_file();
        assert!(read(folder.path(), geteuid()).unwrap_err().what.contains("isn't a regular file"));
        fs::remove_file(&file).unwrap();
        assert!(read(&file, geteuid()).unwrap_err().what.contains("can't be read"));
    }
}
