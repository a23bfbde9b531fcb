//! Whether a file can be believed: a configuration decides who gets credentials
//! and which commands are run, and what a credential's file holds is handed out.
//!
//! The file itself and every folder on the way to it, through every symbolic
//! link, must belong to root or the daemon's user and be writable by nobody
//! else: whoever can write a folder can put another file in its place. A
//! folder with the sticky bit is fine, since there only owners replace files.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::Uid;

use crate::system::advice::AdviceError;
use crate::system::bounded_file;

const MAX_FILE: u64 = 1024 * 1024;
const MAX_LINKS: usize = 40;
const STICKY: u32 = 0o1000;

/// Reads the file if it can be believed.
///
/// # Errors
/// What is wrong, and the command that mends it.
pub(crate) fn read(path: &Path, us: Uid) -> Result<String, AdviceError> {
    folders(path, us)?;
    let failed = |error: std::io::Error| AdviceError::new(format!("it can't be read: {error}"), "").caused_by(error);
    let (file, metadata) = bounded_file::open(path).map_err(failed)?;
    check(path, &metadata, us)?;
    let mut text = String::new();
    let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > MAX_FILE {
        let what = format!("it is longer than {MAX_FILE} bytes, expected a configuration");
        return Err(AdviceError::new(what, ""));
    }
    Ok(text)
}

fn check(path: &Path, metadata: &Metadata, us: Uid) -> Result<(), AdviceError> {
    let shown = path.display();
    if metadata.uid() != 0 && metadata.uid() != us.as_raw() {
        return Err(belongs_to(path, metadata.uid(), us));
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

fn belongs_to(path: &Path, owner: u32, us: Uid) -> AdviceError {
    let shown = path.display();
    let what = format!(
        "{shown} belongs to uid {owner}, who could change it; expected root or the user who reads it here (uid {us})"
    );
    AdviceError::new(what, format!("chown -h root {shown}"))
}

/// Walks the path as the kernel does and checks each folder in which it looks
/// something up.
///
/// # Errors
/// As [`read`].
pub(crate) fn folders(path: &Path, us: Uid) -> Result<(), AdviceError> {
    let failed = |at: &Path, error: std::io::Error| {
        AdviceError::new(format!("{} can't be read: {error}", at.display()), "").caused_by(error)
    };
    let absolute = std::path::absolute(path).map_err(|e| failed(path, e))?;
    let mut left: Vec<PathBuf> = steps(&absolute);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(step) = left.pop() {
        if step == Path::new("/") {
            at = step;
            continue;
        }
        let metadata = at.symlink_metadata().map_err(|e| failed(&at, e))?;
        check(&at, &metadata, us)?;
        if step == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        match next.read_link() {
            Ok(target) if links < MAX_LINKS => {
                let owner = next.symlink_metadata().map_err(|e| failed(&next, e))?.uid();
                if owner != 0 && owner != us.as_raw() {
                    return Err(belongs_to(&next, owner, us));
                }
                links += 1;
                left.extend(steps(&target));
            }
            Ok(_) => return Err(AdviceError::new(format!("{} has too many symbolic links", path.display()), "")),
            Err(_) => at = next,
        }
    }
    Ok(())
}

/// Whether what a program of this user finds in a folder was put there by that
/// user or root.
pub(crate) fn is_theirs(folder: &Path, user: Uid) -> bool {
    folder.is_absolute()
        && folder.metadata().is_ok_and(|m| (m.uid() == 0 || m.uid() == user.as_raw()) && m.mode() & 0o002 == 0)
}

/// A path's parts, the last first.
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
        let folder = tempfile::tempdir().unwrap();
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
        let ((folder, file), elsewhere) = (folder_with_file(), tempfile::tempdir().unwrap());
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
    fn a_folder_or_nothing_in_its_place_is_a_clear_error() {
        let (folder, file) = folder_with_file();
        assert!(read(folder.path(), geteuid()).unwrap_err().what.contains("no regular file"));
        fs::remove_file(&file).unwrap();
        assert!(read(&file, geteuid()).unwrap_err().what.contains("can't be read"));
    }
}
