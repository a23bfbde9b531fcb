//! The workspace's bearer. It is read from its file for every request, since the platform rotates
//! it in place. The last bearer is remembered only for the time in which the file is unusable.

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
    /// The last bearer that the file held.
    current: Option<Secret>,
    /// The bearer before `current`, until the platform accepts `current` or refuses this one.
    previous: Option<Secret>,
    /// True if the platform has given a token for `current`.
    proven: bool,
    /// True if a warning about the currently unusable file has been logged.
    warned: bool,
}

impl Bearers {
    /// Returns the bearer in the file, or the last one that the file held if the file is unusable.
    pub(super) fn read(&mut self, path: &Path) -> Result<Secret, Failure> {
        match read_bearer(path) {
            Ok(new) => {
                self.warned = false;
                self.replace(new.clone());
                Ok(new)
            }
            Err(why) => {
                let path = path.display();
                let Some(last) = self.current.clone() else {
                    let why =
                        format!("no bearer for the platform: {path} {why}; it is written when the workspace registers");
                    return Err(Failure::new(Class::Config, why));
                };
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!("the bearer file {path} {why}; the last bearer that it held is used");
                }
                Ok(last)
            }
        }
    }

    fn replace(&mut self, new: Secret) {
        if self.current.as_ref() == Some(&new) {
            return;
        }
        // A bearer that never got a token doesn't displace a previous one that may have: the file
        // may have held a partly written bearer for a moment.
        if self.proven || self.previous.is_none() {
            self.previous = self.current.take();
        }
        if self.previous.as_ref() == Some(&new) {
            self.previous = None;
        }
        self.current = Some(new);
        self.proven = false;
    }

    /// Records that the platform didn't refuse `bearer`, and whether it gave a token for it.
    pub(super) fn record_accepted(&mut self, bearer: &Secret, brought_token: bool) {
        if brought_token && self.current.as_ref() == Some(bearer) {
            self.proven = true;
            self.previous = None;
        }
    }

    pub(super) fn previous(&self) -> Option<Secret> {
        self.previous.clone()
    }

    pub(super) fn forget_previous(&mut self) {
        self.previous = None;
    }
}

fn read_bearer(path: &Path) -> Result<Secret, String> {
    let file = match bounded_file::open_no_link(path).map_err(unreadable)? {
        Some(file) => file,
        None => open_link(path)?,
    };
    // 64 bytes more than a bearer may have, for surrounding white space.
    let content = bounded_file::content(file, MAX_SECRET + 64).map_err(unreadable)?;
    let text = std::str::from_utf8(&content).map_err(|_| "isn't UTF-8 text".to_owned())?;
    Secret::token(text.trim()).map_err(|unfit| format!("holds no valid bearer: {unfit}"))
}

fn unreadable(error: io::Error) -> String {
    format!("can't be read: {error}")
}

/// Opens the file that a link leads to. Links are followed because Kubernetes mounts a secret as a
/// link that it swaps. If the folder belongs to the agent, the agent can put a link there too. That
/// link is only followed to a file that the agent could read and send to the platform itself.
fn open_link(path: &Path) -> Result<File, String> {
    let (file, metadata) = bounded_file::open(path).map_err(unreadable)?;
    let (owner, us) = (path.symlink_metadata().map_err(unreadable)?.uid(), Uid::effective());
    let trusted = owner == 0 || owner == us.as_raw();
    if trusted || metadata.uid() == owner || metadata.mode() & 0o004 != 0 {
        return Ok(file);
    }
    Err(format!(
        "is a link that uid {owner} made to a file of uid {}, expected a file, or a link to a file of uid {owner}: \
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
    fn a_link_leads_only_to_files_that_its_owner_can_read() {
        if !molecule_test_kit::can(&[molecule_test_kit::Ability::GiveAway]) {
            return;
        }
        let (folder, neighbour) = (molecule_test_kit::temp_folder(), 12345);
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "a-bearer\n").unwrap();
        symlink(&file, &link).unwrap();
        let is_read = |link_of, file_of, mode| {
            lchown(&link, Some(link_of), None).unwrap();
            lchown(&file, Some(file_of), None).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let read = read_bearer(&link);
            let why = read.as_ref().err();
            assert!(why.is_none_or(|why| why.contains("link that uid 12345 made to a file of uid 0")), "{why:?}");
            read.is_ok()
        };
        assert!(is_read(0, 0, 0o600), "as Kubernetes mounts it");
        assert!(is_read(0, neighbour, 0o600));
        assert!(is_read(neighbour, neighbour, 0o600));
        assert!(is_read(neighbour, 0, 0o644), "the link's owner could read that file itself");
        assert!(!is_read(neighbour, 0, 0o640));
        assert!(read_bearer(&file).is_ok(), "a file that isn't a link");
    }
}
