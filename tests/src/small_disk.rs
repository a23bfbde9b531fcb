//! A disk of a few KiB that is mounted for one program and its children, and
//! that nobody else sees.

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
    /// On this folder, which is made. `None`, with a SKIP line, where nothing may
    /// be mounted.
    pub fn new(folder: PathBuf) -> Option<Self> {
        can(&[Ability::MountNamespace, Ability::LookIntoClosed]).then(|| {
            fs::create_dir(&folder).expect("our own folder is writable");
            Self { folder }
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// By which a program gets to see it. It can be read and written (`rw`), or
    /// only read (`ro`).
    pub fn way(&self, kib: u32, access: &str) -> [String; 6] {
        let folder = self.folder.display();
        let mount = format!("mount -t tmpfs -o size={kib}k,mode=700,{access} none {folder} && exec \"$@\"");
        ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(String::from)
    }

    /// A file there, as it can be reached by way of a process that sees it.
    pub fn seen_by(&self, pid: u32, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/root{}", self.folder.join(name).display()))
    }

    /// By a file `filler`: whether it can take nothing more now.
    pub fn fill(&self, pid: u32) -> bool {
        let Ok(mut filler) = File::create(self.seen_by(pid, "filler")) else { return false };
        while filler.write_all(&[b'x'; 256]).is_ok() {}
        true
    }

    pub fn remount(&self, pid: u32, access: &str) -> bool {
        let mut enter = program("nsenter");
        enter.args(["--mount", "--target", &pid.to_string(), "mount", "-o", &format!("remount,{access}")]);
        run(enter.arg(&self.folder), PATIENCE).success()
    }
}
