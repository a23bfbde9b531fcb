//! Notices changes of a file without periodic wake-ups (inotify(7)).
//!
//! The file's folder is watched, since a watch on the file itself ends with the rename that
//! replaces the file. If the folder doesn't exist or can't be watched, changes are noticed only by
//! [`Watch::look`], which is called before every attempt and starts the watch as soon as it can.

use std::ffi::OsStr;
use std::fs;
use std::future::pending;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::system::async_fd::watched;

/// Events after which new content may be complete. `IN_MODIFY` isn't one: it arrives while a writer
/// is still writing.
const COMPLETE: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_ATTRIB);

const FOLDER_GONE: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_UNMOUNT)
    .union(AddWatchFlags::IN_IGNORED);

pub struct Watch {
    path: PathBuf,
    seen: Option<Fingerprint>,
    folder: Option<AsyncFd<WatchedFolder>>,
    /// True if a warning that the folder can't be watched has been logged.
    warned: bool,
}

/// Metadata that differ after a file was written or replaced.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Starts to watch the file. Must be called within the runtime.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let mut watch = Self { seen: Fingerprint::read(&path), folder: None, warned: false, path };
        watch.start_watch();
        watch
    }

    /// Tells whether the file has changed since the last call, or since [`Self::changed`] last
    /// returned. Cheap enough to be called before every attempt.
    pub fn look(&mut self) -> bool {
        if self.folder.is_none() {
            self.start_watch();
        }
        let now = Fingerprint::read(&self.path);
        let changed = now.is_some() && now != self.seen;
        if changed {
            self.seen = now;
        }
        changed
    }

    /// Returns when the file has changed. Never returns if the folder can't be watched, so callers
    /// must wait for another event as well. Dropping the future loses no change.
    pub async fn changed(&mut self) {
        while self.folder.is_some() {
            let Some(by_name) = self.wait_for_events().await else {
                self.folder = None;
                // Another folder may already have replaced this one.
                if self.look() {
                    return;
                }
                continue;
            };
            if self.look() || by_name {
                return;
            }
        }
        pending().await
    }

    /// Waits for the folder's next events. Tells whether one of them names the file. Returns `None`
    /// if the watch has ended.
    async fn wait_for_events(&self) -> Option<bool> {
        let folder = self.folder.as_ref()?;
        let events = folder
            .async_io(Interest::READABLE, |folder| folder.0.read_events().map_err(std::io::Error::from))
            .await
            .ok()?;
        if events.iter().any(|e| e.mask.intersects(FOLDER_GONE)) {
            return None;
        }
        let name = self.path.file_name();
        // A write of the same size within one tick of the file system's clock doesn't change the
        // fingerprint. The event is its only trace.
        Some(events.iter().any(|e| e.name.as_deref() == name))
    }

    /// Starts the watch, if that is possible now.
    fn start_watch(&mut self) {
        self.folder = match WatchedFolder::containing(&self.path) {
            Ok(folder) => {
                self.warned = false;
                Some(folder)
            }
            // The folder is watched as soon as it exists.
            Err(Errno::ENOENT) => None,
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        "changes of {} are noticed only when its credential is due, since its folder can't be watched: \
                         {error}; for EMFILE or ENOSPC raise fs.inotify.max_user_instances or max_user_watches",
                        self.path.display()
                    );
                }
                None
            }
        };
    }
}

impl Fingerprint {
    fn read(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

struct WatchedFolder(Inotify);

impl WatchedFolder {
    fn containing(file: &Path) -> Result<AsyncFd<Self>, Errno> {
        let folder = match file.parent() {
            Some(parent) if parent.as_os_str() != OsStr::new("") => parent,
            _ => Path::new("."),
        };
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mask = COMPLETE | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(folder, mask)?;
        watched(Self(inotify)).map_err(|_| Errno::EIO)
    }
}

impl AsRawFd for WatchedFolder {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    async fn notices(watch: &mut Watch) {
        timeout(LONG, watch.changed()).await.expect("it is noticed");
    }

    #[tokio::test]
    async fn a_file_is_seen_to_appear_to_be_rewritten_and_to_be_replaced() {
        let folder = molecule_test_kit::temp_folder();
        let path = folder.path().join("token");
        let mut watch = Watch::new(path.clone());
        fs::write(&path, "a").unwrap();
        notices(&mut watch).await;
        fs::write(&path, "b").unwrap();
        notices(&mut watch).await;
        fs::write(folder.path().join("new"), "c").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        notices(&mut watch).await;
    }

    #[tokio::test]
    async fn a_change_behind_a_symbolic_link_is_seen() {
        let folder = molecule_test_kit::temp_folder();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("token"), version).unwrap();
        }
        symlink("v1", at("data")).unwrap();
        symlink("data/token", at("token")).unwrap();
        let mut watch = Watch::new(at("token"));
        symlink("v2", at("data.new")).unwrap();
        fs::rename(at("data.new"), at("data")).unwrap();
        notices(&mut watch).await;
    }

    #[tokio::test]
    async fn other_files_of_the_folder_are_no_change() {
        let folder = molecule_test_kit::temp_folder();
        let path = folder.path().join("token");
        fs::write(&path, "a").unwrap();
        let mut watch = Watch::new(path.clone());
        fs::write(folder.path().join("other"), "x").unwrap();
        assert_eq!(watch.wait_for_events().await, Some(false));
        assert!(!watch.look());
    }

    #[tokio::test]
    async fn a_look_finds_a_file_whose_folder_came_later_and_watches_it() {
        let outer = molecule_test_kit::temp_folder();
        let path = outer.path().join("configs/token");
        let mut watch = Watch::new(path.clone());
        assert!(!watch.look());
        fs::create_dir(outer.path().join("configs")).unwrap();
        fs::write(&path, "a").unwrap();
        assert!(watch.look() && !watch.look());
        fs::write(&path, "b").unwrap();
        notices(&mut watch).await;
    }

    #[tokio::test]
    async fn a_replaced_folder_is_watched_anew() {
        let outer = molecule_test_kit::temp_folder();
        let at = |name: &str| outer.path().join(name);
        fs::create_dir(at("configs")).unwrap();
        let mut watch = Watch::new(at("configs/token"));
        fs::create_dir(at("next")).unwrap();
        fs::write(at("next/token"), "a").unwrap();
        fs::rename(at("configs"), at("old")).unwrap();
        fs::rename(at("next"), at("configs")).unwrap();
        notices(&mut watch).await;
        fs::write(at("configs/token"), "b").unwrap();
        notices(&mut watch).await;
    }
}
