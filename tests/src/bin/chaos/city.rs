//! The city with its broker under `supervise`, and what the two processes hold.

use std::fs;
use std::path::Path;
use std::time::Duration;

use molecule_tests::certs::{AGENTS, agent};
use molecule_tests::world::supervised::{Supervised, serves};
use molecule_tests::world::{Setup, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::options::Options;

/// Within this the daemon uses a platform's answer or gives it up.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(1);

/// What programs in Go know of loopback: they don't take `*.localhost` for it.
pub(crate) const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

pub(crate) struct City {
    // Dropped first: it must not outlive the city around it.
    supervisor: Supervised,
    pub(crate) world: World,
    config: String,
}

/// What the two processes hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holds {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: usize,
}

impl City {
    pub(crate) fn new(options: &Options) -> Self {
        let mut world = World::new(Setup {
            life: options.life,
            // The rest of the table is in proportion to the life already.
            config_tail: format!("attempt_timeout = \"{}ms\"\n", ATTEMPT.as_millis()),
            ..Setup::default()
        });
        // The first is also for whoever is no agent.
        let names = LOOPBACK.map(String::from).into_iter().chain((0..AGENTS).map(agent));
        let origins: Vec<_> = names.map(|name| world.host.origin_as(&name)).collect();
        world.broker.set_env("MOLECULE_BROKER_HOSTS", &origins.join(","));
        // For the judge, who reads the audit and the log.
        world.broker.set_env("MOLECULE_BROKER_LOG_FORMAT", "json");
        world.link_shim(&world.bin().join("gh"));
        let supervisor = Supervised::start(&world);
        let config = fs::read_to_string(world.broker.config_file()).expect("it was just written");
        Self { supervisor, world, config }
    }

    pub(crate) fn serves(&self) -> bool {
        serves(&self.world)
    }

    pub(crate) fn signal_daemon(&self, signal: Signal) -> Option<Pid> {
        let pid = self.supervisor.daemon()?;
        kill(pid, signal).ok().map(|()| pid)
    }

    /// Supervisor and daemon together, if they run.
    pub(crate) fn holds(&self) -> Option<Holds> {
        let mut holds = Holds::default();
        for pid in self.supervisor.both()? {
            let folder = Path::new("/proc").join(pid.to_string());
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
        self.supervisor.log()
    }

    pub(crate) fn supervisor_lives(&mut self) -> bool {
        self.supervisor.lives()
    }
}
