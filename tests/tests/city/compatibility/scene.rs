//! A world in which `https://github.com` is the test city's git host. Any
//! program finds it and trusts it, and git is wired as in an image.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use std::process::Command;

use molecule_tests::git_host::{CredentialState, GitHost, HostBehaviour};
use molecule_tests::programs::Git;
use molecule_tests::proxy::Proxy;
use molecule_tests::world::{RunResult, World, WorldSetup, run};

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// How git learns about the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wired {
    /// `setup-git --global`: a file.
    File,
    /// `setup-git --env`: variables, as `supervise` sets them.
    Variables,
    /// No setting: only `GIT_ASKPASS`, which is set in every workspace.
    Askpass,
}

/// The wirings for programs that leave git's environment unchanged.
pub(crate) const WIRED: [Wired; 2] = [Wired::File, Wired::Variables];

pub(crate) struct Scene {
    pub(crate) world: World,
    proxy: Proxy,
    /// A host without TLS, for programs that trust only the machine's roots.
    pub(crate) plain: GitHost,
    /// The host for every name that isn't GitHub's.
    evil: GitHost,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mut world = World::new(WorldSetup::default());
        let plain = GitHost::start(&world.ledger, None);
        world.broker.set_env("MOLECULE_BROKER_HOSTS", &hosts(&world, &plain));
        world.broker.start();
        let evil = GitHost::start(&world.ledger, Some(&world.ca));
        evil.set_behaviour(HostBehaviour::Refuses);
        let proxy = Proxy::start(world.host.port(), evil.port());
        let scene = Self { world, proxy, plain, evil };
        for wired in [Wired::File, Wired::Variables, Wired::Askpass] {
            fs::create_dir_all(scene.home(wired)).unwrap();
            let text = "[user]\n\tname = Agent\n\temail = agent@city.test\n[init]\n\tdefaultBranch = main\n";
            fs::write(scene.home(wired).join(".gitconfig"), text).unwrap();
        }
        scene.setup_git(&[]);
        scene
    }

    /// Writes the file, for these hosts and for those of the configuration.
    pub(crate) fn setup_git(&self, hosts: &[&str]) {
        let mut setup = self.run_by(Wired::File, Path::new("molecule-broker"));
        setup.args(["setup-git", "--global"]).args(hosts.iter().flat_map(|host| ["--host", host]));
        run(&mut setup, PATIENCE).ok();
    }

    fn home(&self, wired: Wired) -> PathBuf {
        self.world.home().join(format!("{wired:?}"))
    }

    /// Returns a command for a program that the agent runs.
    pub(crate) fn program(&self, wired: Wired, program: &Path) -> Command {
        match wired {
            Wired::File => self.run_by(wired, program),
            Wired::Askpass => {
                let mut command = self.run_by(wired, program);
                command.env("GIT_ASKPASS", self.world.bin().join("molecule-askpass"));
                command
            }
            Wired::Variables => {
                let mut shell = self.run_by(wired, Path::new("/bin/sh"));
                let line = "variables=$(molecule-broker setup-git --env) && eval \"$variables\" && exec \"$0\" \"$@\"";
                shell.args(["-c", line]).arg(program);
                shell
            }
        }
    }

    fn run_by(&self, wired: Wired, program: &Path) -> Command {
        let mut command = self.world.agent_command(&[]);
        command
            .arg(program)
            .env("HOME", self.home(wired))
            .env("MOLECULE_BROKER_HOSTS", hosts(&self.world, &self.plain))
            .env("https_proxy", self.proxy.url())
            .env("HTTPS_PROXY", self.proxy.url())
            .env("NO_PROXY", "localhost")
            .env("no_proxy", "localhost");
        command
    }

    pub(crate) fn git(&self, git: &Git, arguments: &[&str]) -> RunResult {
        run(self.program(Wired::File, &git.path).args(arguments), PATIENCE)
    }

    /// Creates a private repository with these files, on `main` and as tag
    /// `v0.1.0`.
    pub(crate) fn publish(&self, git: &Git, name: &str, files: &[(&str, &str)]) {
        self.world.host.create_repository(name);
        self.push_to(git, &url(name), files);
    }

    /// The same on the host without TLS.
    pub(crate) fn publish_plainly(&self, git: &Git, name: &str, files: &[(&str, &str)]) {
        self.plain.create_repository(name);
        self.push_to(git, &self.plain.url(name), files);
    }

    fn push_to(&self, git: &Git, url: &str, files: &[(&str, &str)]) {
        let folder = self.folder("published");
        let path = folder.display().to_string();
        self.git(git, &["clone", "--quiet", url, &path]).ok();
        for (file, text) in files {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        for arguments in [
            &["add", "."][..],
            &["commit", "--quiet", "-m", "Something to fetch"],
            &["tag", "v0.1.0"],
            &["push", "--quiet", "origin", "HEAD:main", "v0.1.0"],
        ] {
            self.git(git, &[&["-C", &path][..], arguments].concat()).ok();
        }
    }

    /// Makes the broker hold a new token, and the host refuse every older one.
    pub(crate) fn rotate(&self) {
        let old = self.world.ledger.all();
        self.world.broker.control(&["refresh"]).ok();
        old.iter().for_each(|minted| self.world.ledger.revoke(&minted.token));
    }

    /// Runs `once` before and after a rotation, with the number of the round.
    /// Each time it must show the host a live token and no other.
    pub(crate) fn through_a_rotation(&self, mut once: impl FnMut(usize)) {
        for round in 0..2 {
            let hosts = [&self.world.host, &self.plain];
            hosts.iter().for_each(|host| host.forget_shown());
            once(round);
            let live: usize = hosts.iter().map(|host| host.shown_count(CredentialState::Live)).sum();
            assert!(live > 0, "round {round}: it showed no live token");
            for host in hosts {
                assert_eq!(host.dead_shown(), 0, "round {round}: {:?}", host.shown());
            }
            assert!(self.evil.shown().is_empty(), "round {round}: a token was shown to another host");
            let github = self.world.broker.credential("github");
            assert_eq!(github["state"], "ok", "round {round}: a live token was rejected: {github}");
            if round == 0 {
                self.rotate();
            }
        }
    }

    /// The same for a program that runs once per round, in an empty folder.
    pub(crate) fn program_through_a_rotation(
        &self,
        wired: Wired,
        program: &Path,
        mut with: impl FnMut(&mut Command, &Path),
    ) {
        self.through_a_rotation(|round| {
            let folder = self.folder(&format!("{wired:?}-{round}"));
            let mut command = self.program(wired, program);
            with(command.current_dir(&folder), &folder);
            let ran = run(&mut command, PATIENCE);
            assert!(ran.success(), "{wired:?}, round {round}: {ran:?}\nthe broker's log:\n{}", self.world.broker.log());
        });
    }

    /// Creates an empty folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.world.work().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

/// Returns GitHub's names, and the host's own for programs that can't use a
/// proxy.
fn hosts(world: &World, plain: &GitHost) -> String {
    format!("github.com,gist.github.com,{},http://{}", world.host.origin(), plain.origin())
}

/// Returns the URL of a repository such as `acme/app.git`.
pub(crate) fn url(name: &str) -> String {
    format!("https://github.com/{name}")
}
