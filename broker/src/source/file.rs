//! A file with a credential that another program renews.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::token_text;
use crate::credential::lease::{Class, Failure, Fresh, SourceKind};
use crate::system::{bounded_file, clock, trust};

pub struct File {
    path: PathBuf,
}

impl File {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Returns an error if the file can't be read, holds no valid credential, or could have been
    /// put there by a user other than root and the daemon's own. Such a user could make this
    /// container use a credential of theirs, or make the daemon hand out a file that only the
    /// daemon may read.
    pub fn fetch(&self) -> Result<Fresh, Failure> {
        let place = self.path.display().to_string();
        let config = |what: String| Failure::new(Class::Config, what);
        let (content, metadata) = bounded_file::read(&self.path, token_text::MAX_TOKEN_TEXT)
            .map_err(|e| config(format!("{place} can't be read: {e}")))?;
        let us = geteuid().as_raw();
        if metadata.uid() != 0 && metadata.uid() != us {
            return Err(config(format!("{place} belongs to uid {}: run `chown {us} {place}`", metadata.uid())));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(config(format!("{place} can be written by others: run `chmod go-w {place}`")));
        }
        // The path may have changed since the file was read. But only the owners of its folders and
        // links could have changed it, and those are checked here.
        trust::folders(&self.path, geteuid()).map_err(|error| config(error.to_string()))?;
        token_text::parse(&content, &place, clock::now(), SourceKind::File)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    fn written(content: &str, mode: u32) -> (tempfile::TempDir, File) {
        let folder = molecule_test_kit::temp_folder();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, File::new(path))
    }

    #[test]
    fn the_file_is_read_anew_each_time() {
        let (_folder, file) = written("one\n", 0o600);
        assert_eq!(file.fetch().unwrap().secret.expose(), "one");
        fs::write(file.path(), "two").unwrap();
        assert_eq!(file.fetch().unwrap().secret.expose(), "two");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_the_remedy() {
        for mode in [0o620, 0o602, 0o666] {
            let (_folder, file) = written("canary", mode);
            let failure = file.fetch().unwrap_err();
            assert_eq!(failure.class, Class::Config);
            assert!(failure.message.contains("chmod go-w"), "{failure}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let (_folder, file) = written("canary", 0o644);
        if chown(file.path(), Some(12345), None).is_err() {
            println!("SKIP: only root can give a file away");
            return;
        }
        assert!(file.fetch().unwrap_err().message.contains("belongs to uid 12345"));
    }

    #[test]
    fn a_link_that_another_user_could_have_made_is_not_followed() {
        let (folder, secret) = written("canary", 0o600);
        let theirs = folder.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        let file = File::new(theirs.join("token"));
        std::os::unix::fs::symlink(secret.path(), file.path()).unwrap();
        assert_eq!(file.fetch().unwrap().secret.expose(), "canary");
        if chown(&theirs, Some(12345), None).is_err() {
            println!("SKIP: only root can give a folder away");
            return;
        }
        let failure = file.fetch().unwrap_err();
        assert!(failure.message.contains("belongs to uid 12345") && !failure.message.contains("canary"), "{failure}");
    }

    #[test]
    fn a_pipe_a_folder_or_nothing_in_its_place_fails_at_once() {
        let folder = molecule_test_kit::temp_folder();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe, folder.path().to_owned(), folder.path().join("none")] {
            assert_eq!(File::new(path).fetch().unwrap_err().class, Class::Config);
        }
    }
}
