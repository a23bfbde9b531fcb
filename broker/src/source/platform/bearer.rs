//! The workspace's bearer: read from its file for every request, since the
//! platform rotates it in place, and remembered only for the moments in which
//! the file is of no use.

use std::path::Path;

use crate::lease::{Class, Failure};
use crate::secret::{MAX_BEARER, Secret};
use crate::small;

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

/// Links are followed: Kubernetes mounts a secret as a link that it swaps. Who
/// may put a link there may as well write a bearer, or, as the daemon's own
/// user, read whatever it leads to; from everybody else the folder is closed.
fn read(path: &Path) -> Result<Secret, String> {
    // Some room for the blanks around it.
    let (content, _) = small::read(path, MAX_BEARER + 64).map_err(|e| format!("can't be read: {e}"))?;
    let text = std::str::from_utf8(&content).map_err(|_| "holds no text".to_owned())?;
    Secret::bearer(text.trim()).map_err(|unfit| format!("holds no bearer: {unfit}"))
}
