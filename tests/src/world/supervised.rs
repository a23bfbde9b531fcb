//! The broker under `supervise`, which keeps the socket and the leases across
//! restarts of the daemon.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::World;
use crate::wait::{eventually, poll};

/// A supervisor without a command. It is stopped when the value is dropped.
pub struct Supervised {
    child: Child,
    log: PathBuf,
}

impl Supervised {
    /// Starts the supervisor and waits until its daemon holds a first token.
    pub fn start(world: &World) -> Self {
        Self::start_through(world, &[])
    }

    /// The same, through a program that execs the supervisor in the end.
    pub fn start_through(world: &World, way: &[&str]) -> Self {
        let supervised = Self::spawn_through(world, way);
        eventually("the broker serves", Duration::from_secs(20), || serves(world));
        supervised
    }

    /// Starts the supervisor and doesn't wait for a serving daemon.
    pub fn spawn_through(world: &World, way: &[&str]) -> Self {
        let log = world.path().join("broker.log");
        let output = File::create(&log).expect("our own folder is writable");
        let child = world
            .broker
            .command_through(way, &["supervise"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log's descriptor can be duplicated"))
            .stderr(output)
            .spawn()
            .expect("the broker can be started");
        Self { child, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the daemon's pid if one is running.
    pub fn daemon(&self) -> Option<Pid> {
        let parent = format!("\nPPid:\t{}\n", self.child.id());
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let is_ours = |folder: &Path| {
            let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
            let arguments = fs::read(folder.join("cmdline")).unwrap_or_default();
            status.contains(&parent) && arguments.split(|b| *b == 0).any(|word| word == b"serve")
        };
        processes.map(|entry| entry.path()).find(|path| is_ours(path)).and_then(|path| {
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some(Pid::from_raw(number))
        })
    }

    /// Returns the pids of supervisor and daemon, as soon as both run.
    pub fn pids(&self) -> Option<[u32; 2]> {
        let daemon = poll(Duration::from_secs(10), || self.daemon())?;
        Some([self.pid(), u32::try_from(daemon.as_raw()).ok()?])
    }

    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Supervised {
    /// Sends SIGTERM first, because a supervisor that is killed can't stop its
    /// daemon.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if poll(Duration::from_secs(15), || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// True if the platform's credential is served and its last refresh succeeded.
pub fn serves(world: &World) -> bool {
    let credential = world.broker.try_status().map(|status| status["credentials"][0].clone());
    credential.is_some_and(|github| github["serving"] == true && github["state"] == "ok")
}
