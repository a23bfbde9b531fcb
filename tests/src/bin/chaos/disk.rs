//! The small disk on which the daemon's token file lies.

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
    /// A folder under this one. It is no disk, and that is said, where nothing
    /// may be mounted.
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

    /// By which the supervisor gets to see it.
    pub(crate) fn way(&self) -> Vec<String> {
        self.small.iter().flat_map(|small| small.way(KIB, "rw")).collect()
    }

    /// The token file as it can be reached from here.
    pub(crate) fn token_file_of(&self, supervisor: u32) -> PathBuf {
        self.small.as_ref().map_or_else(|| self.token_file(), |small| small.seen_by(supervisor, "token"))
    }

    /// Makes it full, or read-only: whether it is. It can't be made read-only
    /// while something is being written there.
    pub(crate) fn break_it(&self, supervisor: u32, full: bool) -> bool {
        self.small.as_ref().is_some_and(|small| match full {
            true => small.fill(supervisor),
            false => small.remount(supervisor, "ro"),
        })
    }

    /// It can be written to, and has room.
    pub(crate) fn mend(&self, supervisor: u32) {
        if let Some(small) = &self.small {
            small.remount(supervisor, "rw");
            let _ = fs::remove_file(small.seen_by(supervisor, "filler"));
        }
    }
}
