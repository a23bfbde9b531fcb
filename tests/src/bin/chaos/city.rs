//! The city with its broker under `supervise`.

use std::fs;
use std::time::Duration;

use molecule_tests::certs::{AGENTS, agent_name};
use molecule_tests::ledger::TokenState;
use molecule_tests::wait::poll;
use molecule_tests::world::supervised::{Supervised, serves};
use molecule_tests::world::{World, WorldSetup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::holds::Holds;
use crate::options::Options;

/// Time in which the daemon uses an answer of the platform or gives it up.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(1);

/// Loopback names that Go programs know. They don't recognise `*.localhost`.
pub(crate) const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

pub(crate) struct City {
    // Dropped first: it must not outlive the city around it.
    supervisor: Supervised,
    pub(crate) world: World,
    pub(crate) disk: Disk,
    pub(crate) clock: Option<Clock>,
    config: String,
}

impl City {
    pub(crate) fn new(options: &Options) -> Self {
        let mut world = World::new(WorldSetup {
            life: options.life,
            // The rest of the table is already in proportion to the life.
            config_tail: format!("attempt_timeout = \"{}ms\"\n", ATTEMPT.as_millis()),
            ..WorldSetup::default()
        });
        // The first name is also used by clients that aren't agents.
        let names = LOOPBACK.map(String::from).into_iter().chain((0..AGENTS).map(agent_name));
        let origins: Vec<_> = names.map(|name| world.host.origin_as(&name)).collect();
        world.broker.set_env("MOLECULE_BROKER_HOSTS", &origins.join(","));
        // The judge reads the audit log and the daemon's log.
        world.broker.set_env("MOLECULE_BROKER_LOG_FORMAT", "json");
        world.link_shim(&world.bin().join("gh"));
        let disk = Disk::new(world.path());
        let written = fs::read_to_string(world.broker.config_file()).expect("the configuration was just written");
        let config = format!("[sinks]\nfile = \"{}\"\n{written}", disk.token_file().display());
        fs::write(world.broker.config_file(), &config).expect("our own folder is writable");
        let clock = Clock::new(&mut world);
        let way = disk.command_prefix();
        let way: Vec<_> = way.iter().map(String::as_str).collect();
        let supervisor = Supervised::start_through(&world, &way);
        Self { supervisor, world, disk, clock, config }
    }

    pub(crate) fn serves(&self) -> bool {
        serves(&self.world)
    }

    pub(crate) fn daemon(&self) -> Option<Pid> {
        self.supervisor.daemon()
    }

    pub(crate) fn supervisor(&self) -> u32 {
        self.supervisor.pid()
    }

    pub(crate) fn signal_daemon(&self, signal: Signal) -> Option<Pid> {
        let pid = self.daemon()?;
        kill(pid, signal).ok().map(|()| pid)
    }

    pub(crate) fn supervisor_holds(&self) -> Option<Holds> {
        Holds::of(self.supervisor())
    }

    /// Measures the daemon as soon as one is running.
    pub(crate) fn daemon_holds(&self) -> Option<Holds> {
        let pid = poll(Duration::from_secs(10), || self.daemon())?;
        Holds::of(u32::try_from(pid.as_raw()).ok()?)
    }

    /// Returns the verdict on the token in the token file.
    pub(crate) fn token_file_state(&self) -> Option<TokenState> {
        let text = fs::read_to_string(self.disk.token_file_of(self.supervisor())).ok()?;
        Some(self.world.ledger.state_of(text.trim_end()))
    }

    /// Writes a configuration with this text before the usual one. The new file
    /// is written beside the old one and renamed, as an operator's tool does
    /// it.
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
        self.supervisor.is_running()
    }
}
