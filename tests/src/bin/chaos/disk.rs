//! The small disk with the daemon's token file.

use std::fs;
use std::path::{Path, PathBuf};

use molecule_tests::skip;
use molecule_tests::small_disk::SmallDisk;

const KIB: u32 = 16;

#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    small: Option<SmallDisk>,
}

impl Disk {
    /// Creates the disk below this folder. If this machine doesn't allow
    /// mounts, prints a SKIP line and uses an ordinary folder.
    pub(crate) fn new(under: &Path) -> Self {
        let folder = under.join("disk");
        let small = SmallDisk::new(folder.clone());
        if small.is_none() {
            fs::create_dir(&folder).expect("our own folder is writable");
            skip("full and read-only disks amid chaos: nothing can be mounted here");
        }
        Self { folder, small }
    }

    pub(crate) fn is_small(&self) -> bool {
        self.small.is_some()
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// Returns the words that go before the supervisor's command, so that it
    /// sees the disk.
    pub(crate) fn command_prefix(&self) -> Vec<String> {
        self.small.iter().flat_map(|small| small.command_prefix(KIB, "rw")).collect()
    }

    /// Returns the token file's path by way of the supervisor.
    pub(crate) fn token_file_of(&self, supervisor: u32) -> PathBuf {
        self.small.as_ref().map_or_else(|| self.token_file(), |small| small.path_seen_by(supervisor, "token"))
    }

    /// Fills the disk or makes it read-only. Returns whether that worked: it
    /// can't become read-only while a process is writing to it.
    pub(crate) fn break_it(&self, supervisor: u32, full: bool) -> bool {
        self.small.as_ref().is_some_and(|small| match full {
            true => small.fill(supervisor),
            false => small.remount(supervisor, "ro"),
        })
    }

    /// Makes the disk writable and frees its space.
    pub(crate) fn mend(&self, supervisor: u32) {
        if let Some(small) = &self.small {
            small.remount(supervisor, "rw");
            let _ = fs::remove_file(small.path_seen_by(supervisor, "filler"));
        }
    }
}
