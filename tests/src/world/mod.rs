//! One world: a platform, a git host, a broker between them, and the shims on
//! the path of an isolated git. None of them sees the machine's own
//! configuration or environment. All of it is removed when the world is
//! dropped.

mod broker;
pub mod config;
mod run;
pub mod supervised;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

pub use self::broker::Broker;
pub use self::run::{RunResult, run, run_with_input, with_long_enough_lives, write_program};
use crate::certs::CertAuthority;
use crate::git_host::{GitHost, exec_path};
use crate::ledger::Ledger;
use crate::platform::{MintPolicy, Platform};
use crate::programs::{Git, first_git, programs};
use crate::temp_folder;

/// The options of a world.
#[derive(Clone, Debug)]
pub struct WorldSetup {
    /// Life of a token. The broker's configuration is in proportion.
    pub life: Duration,
    pub policy: MintPolicy,
    pub platform_tls: bool,
    /// Value of `MOLECULE_BROKER_HOSTS`. `None` stands for the git host's
    /// origin.
    pub hosts: Option<String>,
    /// Variables that are set for the broker besides the usual ones or, if
    /// `None`, removed.
    pub broker_env: Vec<(&'static str, Option<String>)>,
    /// TOML before the `[refresh]` table, and after it.
    pub config_head: String,
    pub config_tail: String,
    /// The git whose http-backend the host runs. `None` stands for the first
    /// git.
    pub host_git: Option<PathBuf>,
}

impl Default for WorldSetup {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(3600),
            policy: MintPolicy::MintPerCall,
            platform_tls: false,
            hosts: None,
            broker_env: Vec::new(),
            config_head: String::new(),
            config_tail: String::new(),
            host_git: None,
        }
    }
}

/// How git gets its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    Helper,
    Askpass,
    Both,
    Nothing,
}

pub struct World {
    // Dropped first: a daemon must not outlive the city around it.
    pub broker: Broker,
    pub platform: Platform,
    pub host: GitHost,
    pub ledger: Arc<Ledger>,
    pub ca: CertAuthority,
    dir: TempDir,
}

impl World {
    /// Sets everything up, but doesn't start the broker yet.
    #[track_caller]
    pub fn new(setup: WorldSetup) -> Self {
        Self::try_new(setup).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same as [`Self::new`], for programs that a person runs.
    ///
    /// # Errors
    /// This machine has no folder for the world, or no git. The text names the
    /// remedy.
    pub fn try_new(setup: WorldSetup) -> Result<Self, String> {
        let dir = temp_folder::new_folder("molecule-")?;
        for folder in ["configs", "run", "bin", "home", "work"] {
            let folder = dir.path().join(folder);
            fs::create_dir(&folder).expect("a new folder is writable");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("our own folder's mode can be set");
        }
        let ledger = Arc::new(Ledger::default());
        let ca = CertAuthority::new();
        ca.write(&dir.path().join("ca.pem")).expect("a new folder is writable");
        let platform_ca = setup.platform_tls.then_some(&ca);
        let platform = Platform::start(&ledger, setup.life, setup.policy, platform_ca);
        let backend = match &setup.host_git {
            Some(git) => git.clone(),
            None => first_git()?,
        };
        let host = GitHost::start_with(&ledger, Some(&ca), &exec_path(&backend));
        link_programs(&dir.path().join("bin"));
        write_git_configs(dir.path());

        let world = Self {
            broker: Broker::new(&programs().broker, dir.path(), &setup, &platform, &host),
            platform,
            host,
            ledger,
            ca,
            dir,
        };
        world.write_bearer(&world.platform.bearer());
        Ok(world)
    }

    /// The same as [`Self::new`], with the broker started and its socket
    /// answering.
    pub fn started(setup: WorldSetup) -> Self {
        let mut world = Self::new(setup);
        world.broker.start();
        world
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/broker.sock")
    }

    /// Returns the folder with the shims under their names.
    pub fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Returns the folder for clones.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn write_bearer(&self, bearer: &str) {
        fs::write(self.bearer_file(), format!("{bearer}\n")).expect("our own folder is writable");
    }

    pub fn bearer_file(&self) -> PathBuf {
        self.dir.path().join("configs/.auth_token")
    }

    /// Returns a command for this git with this wiring, in an isolated
    /// environment and in [`Self::work`].
    pub fn git(&self, git: &Git, wiring: Wiring) -> Command {
        let mut command = self.command(&git.path);
        if matches!(wiring, Wiring::Askpass | Wiring::Both) {
            command.env("GIT_ASKPASS", self.bin().join("molecule-askpass"));
        }
        command.env("GIT_CONFIG_GLOBAL", git_config(self.path(), wiring));
        command
    }

    /// Returns a command for any program, in the environment of the world's
    /// agent.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = crate::program(program);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin().display());
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSL_CAINFO", self.ca_file())
            .env("MOLECULE_BROKER_SOCKET", self.socket())
            .current_dir(self.work());
        command
    }

    /// Returns a command for `env`, for a command line of the agent: `env`
    /// looks its words up on a `PATH` in which these folders come first. For
    /// gh, the environment has everything but a host.
    pub fn agent_command(&self, folders: &[PathBuf]) -> Command {
        let mut command = self.command(Path::new("/usr/bin/env"));
        let first: String = folders.iter().map(|folder| format!("{}:", folder.display())).collect();
        command
            .env("PATH", format!("{first}{}:/usr/bin:/bin", self.bin().display()))
            .env("SSL_CERT_FILE", self.ca_file())
            .env("GH_NO_UPDATE_NOTIFIER", "1")
            .env("GH_TELEMETRY", "false")
            .env("GH_PROMPT_DISABLED", "1");
        command
    }

    /// Links this path to the shim. The name decides which shim it is.
    pub fn link_shim(&self, path: &Path) {
        let folder = path.parent().expect("a path with a name has a folder");
        fs::create_dir_all(folder).expect("our own folder is writable");
        symlink(&programs().shim, path).expect("a new name is free");
    }

    /// Returns a command for the shim with this name.
    pub fn shim(&self, name: &str) -> Command {
        self.command(&self.bin().join(name))
    }
}

fn git_config(dir: &Path, wiring: Wiring) -> PathBuf {
    dir.join(format!("gitconfig-{wiring:?}"))
}

/// Writes all of them in advance, because git reads them while other agents
/// work.
fn write_git_configs(dir: &Path) {
    for wiring in [Wiring::Helper, Wiring::Askpass, Wiring::Both, Wiring::Nothing] {
        let mut config = String::from(
            "[user]\nname = Agent\nemail = agent@city.test\n[init]\ndefaultBranch = main\n\
             [credential]\nhelper =\n[protocol \"file\"]\nallow = always\n",
        );
        if matches!(wiring, Wiring::Helper | Wiring::Both) {
            config.push_str("[credential]\nhelper = molecule\n");
        }
        fs::write(git_config(dir, wiring), config).expect("our own folder is writable");
    }
}

fn link_programs(bin: &Path) {
    let programs = programs();
    let links = [
        ("molecule-broker", &programs.broker),
        ("molecule-askpass", &programs.shim),
        ("git-credential-molecule", &programs.shim),
    ];
    for (name, program) in links {
        symlink(program, bin.join(name)).expect("a new folder is writable");
    }
}
