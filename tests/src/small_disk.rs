//! A disk of a few KiB, mounted in the mount namespace of one program and its
//! children. No other process sees it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::world::run;
use crate::{Ability, can, program};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Creates the folder that the disk is mounted on. Returns `None`, with a
    /// SKIP line, if this machine doesn't allow mounts.
    pub fn new(folder: PathBuf) -> Option<Self> {
        can(&[Ability::MountNamespace, Ability::LookIntoClosed]).then(|| {
            fs::create_dir(&folder).expect("our own folder is writable");
            Self { folder }
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the words that go before a command, so that it runs with the
    /// disk mounted. The disk is writable (`rw`) or read-only (`ro`).
    pub fn command_prefix(&self, kib: u32, access: &str) -> [String; 6] {
        let folder = self.folder.display();
        let mount = format!("mount -t tmpfs -o size={kib}k,mode=700,{access} none {folder} && exec \"$@\"");
        ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(String::from)
    }

    /// Returns the path of a file on the disk, by way of a process that sees
    /// the disk.
    pub fn path_seen_by(&self, pid: u32, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/root{}", self.folder.join(name).display()))
    }

    /// Fills the disk by a file `filler`. Returns true if the disk is full now.
    pub fn fill(&self, pid: u32) -> bool {
        let Ok(mut filler) = File::create(self.path_seen_by(pid, "filler")) else { return false };
        while filler.write_all(&[b'x'; 256]).is_ok() {}
        true
    }

    pub fn remount(&self, pid: u32, access: &str) -> bool {
        let mut enter = program("nsenter");
        enter.args(["--mount", "--target", &pid.to_string(), "mount", "-o", &format!("remount,{access}")]);
        run(enter.arg(&self.folder), PATIENCE).success()
    }
}
