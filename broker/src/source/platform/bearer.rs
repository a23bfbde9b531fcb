//! The workspace's bearer: read from its file for every request, since the
//! platform rotates it in place, and remembered only for the moments in which
//! the file is of no use.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use crate::credential::lease::{Class, Failure};
use crate::credential::secret::{MAX_SECRET, Secret};
use crate::system::bounded_file;

#[derive(Default)]
pub(super) struct Bearers {
    /// The last that the file held.
    current: Option<Secret>,
    /// The one before it, until `current` has proven good or this one bad.
    before: Option<Secret>,
    /// Whether the platform has given a token for `current`.
    proven: bool,
    /// Whether the log knows that the file is of no use just now.
    missed: bool,
}

impl Bearers {
    /// What the file holds; where that is nothing of use, what it last held.
    pub(super) fn read(&mut self, path: &Path) -> Result<Secret, Failure> {
        match read(path) {
            Ok(new) => {
                self.missed = false;
                self.take(new.clone());
                Ok(new)
            }
            Err(why) => {
                let path = path.display();
                let Some(last) = self.current.clone() else {
                    let why =
                        format!("no bearer for the platform: {path} {why}; it is written when the workspace registers");
                    return Err(Failure::new(Class::Config, why));
                };
                if !std::mem::replace(&mut self.missed, true) {
                    tracing::warn!(
                        "the bearer's file {path} {why}; the platform is shown the last bearer that it held"
                    );
                }
                Ok(last)
            }
        }
    }

    fn take(&mut self, new: Secret) {
        if self.current.as_ref() == Some(&new) {
            return;
        }
        // One that never proved good doesn't push out one that may have: the
        // file may have held half a bearer for a moment.
        if self.proven || self.before.is_none() {
            self.before = self.current.take();
        }
        if self.before.as_ref() == Some(&new) {
            self.before = None;
        }
        self.current = Some(new);
        self.proven = false;
    }

    /// Learns that `bearer` was not refused, and whether it brought a token.
    pub(super) fn judged(&mut self, bearer: &Secret, brought_token: bool) {
        if brought_token && self.current.as_ref() == Some(bearer) {
            self.proven = true;
            self.before = None;
        }
    }

    pub(super) fn before(&self) -> Option<Secret> {
        self.before.clone()
    }

    pub(super) fn forget_before(&mut self) {
        self.before = None;
    }
}

fn read(path: &Path) -> Result<Secret, String> {
    let file = match bounded_file::open_no_link(path).map_err(unreadable)? {
        Some(file) => file,
        None => follow(path)?,
    };
    // Some room for the blanks around it.
    let content = bounded_file::content(file, MAX_SECRET + 64).map_err(unreadable)?;
    let text = std::str::from_utf8(&content).map_err(|_| "holds no text".to_owned())?;
    Secret::token(text.trim()).map_err(|unfit| format!("holds no bearer: {unfit}"))
}

fn unreadable(error: io::Error) -> String {
    format!("can't be read: {error}")
}

/// Links are followed: Kubernetes mounts a secret as a link that it swaps. The
/// folder may be the agent's, who then may put one there too, but only to what
/// that user could show the platform without us.
fn follow(path: &Path) -> Result<File, String> {
    let (file, metadata) = bounded_file::open(path).map_err(unreadable)?;
    let (whose, us) = (path.symlink_metadata().map_err(unreadable)?.uid(), Uid::effective());
    let trusted = whose == 0 || whose == us.as_raw();
    if trusted || metadata.uid() == whose || metadata.mode() & 0o004 != 0 {
        return Ok(file);
    }
    Err(format!(
        "is a link that uid {whose} made to a file of uid {}, expected one to a file of its own, or a file: \
         rm {}, and have the workspace register again",
        metadata.uid(),
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    #[test]
    fn a_neighbours_link_leads_to_nothing_that_the_neighbour_cant_read() {
        if !molecule_test_kit::can(&[molecule_test_kit::Ability::GiveAway]) {
            return;
        }
        let (folder, neighbour) = (tempfile::tempdir().unwrap(), 12345);
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "a-bearer\n").unwrap();
        symlink(&file, &link).unwrap();
        let is_read = |link_of, file_of, mode| {
            lchown(&link, Some(link_of), None).unwrap();
            lchown(&file, Some(file_of), None).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let read = read(&link);
            let why = read.as_ref().err();
            assert!(why.is_none_or(|why| why.contains("link that uid 12345 made to a file of uid 0")), "{why:?}");
            read.is_ok()
        };
        assert!(is_read(0, 0, 0o600), "as Kubernetes mounts it");
        assert!(is_read(0, neighbour, 0o600));
        assert!(is_read(neighbour, neighbour, 0o600));
        assert!(is_read(neighbour, 0, 0o644), "it could read that itself");
        assert!(!is_read(neighbour, 0, 0o640));
        assert!(read(&file).is_ok(), "no link");
    }
}
