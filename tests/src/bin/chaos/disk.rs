//! The small disk on which the daemon's token file lies, and which nobody else
//! sees.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use molecule_tests::skip;

#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    small: bool,
}

impl Disk {
    /// A folder under this one. It is no disk, and that is said, where nothing
    /// may be mounted.
    pub(crate) fn new(under: &Path) -> Self {
        let folder = under.join("disk");
        fs::create_dir(&folder).expect("our own folder is writable");
        let tried = Command::new("unshare").args(["--mount", "sh", "-c", "mount -t tmpfs none /mnt"]).output();
        let small = tried.is_ok_and(|output| output.status.success());
        if !small {
            skip("full and read-only disks amid chaos: nothing can be mounted here");
        }
        Self { folder, small }
    }

    pub(crate) fn is_small(&self) -> bool {
        self.small
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// By which a program gets to see it.
    pub(crate) fn way(&self) -> Vec<String> {
        if !self.small {
            return Vec::new();
        }
        let mount = format!("mount -t tmpfs -o size=16k,mode=700 none {} && exec \"$@\"", self.folder.display());
        ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(String::from).to_vec()
    }

    /// A file there as the process sees it that came by way of it.
    pub(crate) fn seen_by(&self, pid: u32, name: &str) -> PathBuf {
        let inside = self.folder.join(name);
        if self.small { PathBuf::from(format!("/proc/{pid}/root{}", inside.display())) } else { inside }
    }

    /// Whether it can take nothing more now.
    pub(crate) fn fill(&self, pid: u32) -> bool {
        let Ok(mut filler) = File::create(self.seen_by(pid, "filler")) else { return false };
        while filler.write_all(&[b'x'; 256]).is_ok() {}
        true
    }

    pub(crate) fn remount(&self, pid: u32, access: &str) -> bool {
        let mut enter = Command::new("nsenter");
        enter.args(["--mount", "--target", &pid.to_string(), "mount", "-o", &format!("remount,{access}")]);
        let output: Option<Output> = enter.arg(&self.folder).output().ok();
        output.is_some_and(|output| output.status.success())
    }

    /// It can be written to, and has room.
    pub(crate) fn mend(&self, pid: u32) {
        if self.small {
            self.remount(pid, "rw");
            let _ = fs::remove_file(self.seen_by(pid, "filler"));
        }
    }
}
