//! The city with its broker under `supervise`, which keeps socket and leases
//! while daemons come and go.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use molecule_tests::wait::{eventually, poll};
use molecule_tests::world::{Setup, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::options::Options;

pub(crate) struct City {
    // Dropped first: it must not outlive the city around it.
    supervisor: Supervisor,
    pub(crate) world: World,
    log: PathBuf,
    config: String,
}

struct Supervisor(Child);

/// What the two processes hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holds {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: usize,
}

impl City {
    pub(crate) fn new(options: &Options) -> Self {
        let world = World::new(Setup {
            life: options.life,
            // The rest of the table is in proportion to the life already.
            config_tail: String::from("attempt_timeout = \"1s\"\n"),
            ..Setup::default()
        });
        let log = world.path().join("broker.log");
        let output = File::create(&log).expect("our own folder is writable");
        let child = world
            .broker
            .command(&["supervise"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a descriptor can be had"))
            .stderr(output)
            .spawn()
            .expect("the broker can be started");
        let config = fs::read_to_string(world.broker.config_file()).expect("it was just written");
        let city = Self { supervisor: Supervisor(child), world, log, config };
        eventually("the broker serves", Duration::from_secs(20), || city.serves());
        city
    }

    pub(crate) fn serves(&self) -> bool {
        let credential = self.world.broker.try_status().map(|status| status["credentials"][0].clone());
        credential.is_some_and(|github| github["serving"] == true && github["state"] == "ok")
    }

    /// The daemon, if one runs just now.
    pub(crate) fn daemon(&self) -> Option<Pid> {
        let parent = format!("\nPPid:\t{}\n", self.supervisor.0.id());
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

    pub(crate) fn signal_daemon(&self, signal: Signal) -> Option<Pid> {
        let pid = self.daemon()?;
        kill(pid, signal).ok().map(|()| pid)
    }

    /// Supervisor and daemon together, if they run.
    pub(crate) fn holds(&self) -> Option<Holds> {
        let daemon = poll(Duration::from_secs(10), || self.daemon())?;
        let mut holds = Holds::default();
        for pid in [self.supervisor.0.id().to_string(), daemon.to_string()] {
            let folder = Path::new("/proc").join(pid);
            let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = resident.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
            holds.memory_kib += kib.unwrap_or(0);
            holds.descriptors += fs::read_dir(folder.join("fd")).map_or(0, Iterator::count);
        }
        Some(holds)
    }

    /// Other text in front of the same configuration: in its own folder, moved
    /// into place, as an operator's tool does it.
    pub(crate) fn write_config(&self, before: &str) {
        let file = self.world.broker.config_file();
        let beside = file.with_extension("new");
        fs::write(&beside, format!("{before}\n{}", self.config)).expect("our own folder is writable");
        fs::rename(&beside, file).expect("our own folder is writable");
    }

    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub(crate) fn supervisor_lives(&mut self) -> bool {
        matches!(self.supervisor.0.try_wait(), Ok(None))
    }
}

impl Drop for Supervisor {
    /// By SIGTERM first: a supervisor that is killed leaves its daemon behind.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if poll(Duration::from_secs(15), || self.0.try_wait().ok().flatten()).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
