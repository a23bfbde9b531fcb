//! A world in which gh is wired in every way that images have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use molecule_tests::git_host::{GitHost, HostBehaviour};
use molecule_tests::programs::{GH_TOKENS, Gh, ghs};
use molecule_tests::proxy::Proxy;
use molecule_tests::world::{RunResult, World, WorldSetup, run, write_program};
use molecule_tests::{program, skip};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How gh gets its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without any wiring. The other ways are compared with this one.
    Bare,
    /// `molecule-broker exec`, without a shim.
    Exec,
    /// As `docker/install` leaves it: gh is renamed, the shim is in its place.
    Diverted,
    /// The same, run by an image's own wrapper that comes earlier on `PATH`.
    WrapperOverDiverted,
    /// The shim in a folder before gh's.
    Before,
    /// The same, with an image's wrapper between them.
    BeforeWrapper,
}

pub(crate) const SHIMS: [Way; 4] = [Way::Diverted, Way::WrapperOverDiverted, Way::Before, Way::BeforeWrapper];

/// The host that gh uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// github.com itself, through the city's proxy.
    GitHub,
    /// The git host's own origin, in `GH_HOST`.
    Enterprise,
}

pub(crate) struct Scene {
    pub(crate) world: World,
    /// The host for every name that isn't GitHub's.
    pub(crate) evil: GitHost,
    /// The token of the provisioner, which is dead.
    pub(crate) dead: String,
    /// The real gh behind each way.
    pub(crate) real: Gh,
    pub(crate) site: Site,
    pub(crate) proxy: Proxy,
}

impl Scene {
    /// Returns a scene for each gh of this machine, without a broker yet.
    /// Prints a SKIP line if versions are missing.
    pub(crate) fn each(site: Site, setup: impl Fn() -> WorldSetup) -> impl Iterator<Item = Self> {
        let ghs = ghs();
        if ghs.len() < 3 {
            skip(&format!("gh of other versions than {}: tests/fetch-ghs couldn't fetch them", versions(&ghs)));
        }
        ghs.into_iter().map(move |real| Self::new(site, setup(), real))
    }

    pub(crate) fn each_started(site: Site, setup: impl Fn() -> WorldSetup) -> impl Iterator<Item = Self> {
        Self::each(site, setup).map(|mut scene| {
            scene.world.broker.start();
            scene
        })
    }

    fn new(site: Site, setup: WorldSetup, real: Gh) -> Self {
        println!("with gh {}", real.version);
        let hosts = (site == Site::GitHub).then(|| String::from("github.com,gist.github.com"));
        let world = World::new(WorldSetup { hosts, ..setup });
        furnish(&world.path().join("image"), &real.path, &world);
        let evil = GitHost::start(&world.ledger, Some(&world.ca));
        evil.set_behaviour(HostBehaviour::Refuses);
        let dead = world.ledger.mint(Duration::ZERO).token;
        let proxy = Proxy::start(world.host.port(), evil.port());
        Self { world, evil, dead, real, site, proxy }
    }

    /// Returns a command for gh, with the dead token in every variable that gh
    /// reads.
    pub(crate) fn gh(&self, way: Way, arguments: &[&str]) -> Command {
        let mut command = self.agent_command(way);
        if way == Way::Exec {
            command.args(["molecule-broker", "exec", "--"]);
        }
        command.arg("gh").args(arguments);
        command
    }

    pub(crate) fn run(&self, way: Way, arguments: &[&str]) -> RunResult {
        run(&mut self.gh(way, arguments), PATIENCE)
    }

    /// Returns a command for another program that ends up running gh.
    pub(crate) fn agent_command(&self, way: Way) -> Command {
        let mut folders = self.folders(way);
        folders.extend(self.real.path.parent().map(Path::to_path_buf));
        let mut command = self.world.agent_command(&folders);
        command
            .env("HTTPS_PROXY", self.proxy.url())
            .env("NO_PROXY", "localhost")
            .envs(GH_TOKENS.map(|name| (name, &self.dead)));
        if self.site == Site::Enterprise {
            command.env("GH_HOST", self.world.host.origin());
        }
        command
    }

    /// Stores a login in gh's own files, as a person's `gh auth login` does
    /// without a keyring (2.40 and later; earlier versions ignore `users`).
    pub(crate) fn store_login(&self, user: &str, token: &str) {
        let folder = self.world.home().join(".config/gh");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.yml"), "version: \"1\"\n").unwrap();
        let host = self.host();
        let account = format!("    users:\n        {user}:\n            oauth_token: {token}\n");
        let active = format!("    git_protocol: https\n    oauth_token: {token}\n    user: {user}\n");
        fs::write(folder.join("hosts.yml"), format!("{host}:\n{account}{active}")).unwrap();
    }

    /// Returns the folders that come before the real gh's on `PATH`.
    pub(crate) fn folders(&self, way: Way) -> Vec<PathBuf> {
        let names: &[&str] = match way {
            Way::Bare | Way::Exec => &[],
            Way::Diverted => &["usr/bin"],
            Way::WrapperOverDiverted => &["usr/local/bin", "usr/bin"],
            Way::Before => &["shims"],
            Way::BeforeWrapper => &["shims", "wrapped"],
        };
        names.iter().map(|name| self.world.path().join("image").join(name)).collect()
    }

    /// Returns the host that gh uses, in gh's own notation.
    pub(crate) fn host(&self) -> String {
        match self.site {
            Site::GitHub => String::from("github.com"),
            Site::Enterprise => self.world.host.origin(),
        }
    }
}

fn furnish(image: &Path, real: &Path, world: &World) {
    let usr_bin = image.join("usr/bin");
    world.link_shim(&usr_bin.join("gh"));
    world.link_shim(&image.join("shims/gh"));
    fs::hard_link(real, usr_bin.join("gh.distrib")).unwrap_or_else(|_| {
        // Another process writes the file. A process that this one forks for
        // another test would hold it open for writing, and then it can't be run
        // (ETXTBSY).
        run(program("cp").arg(real).arg(usr_bin.join("gh.distrib")), PATIENCE).ok();
    });
    wrapper(&image.join("usr/local/bin/gh"), &usr_bin.join("gh"));
    wrapper(&image.join("wrapped/gh"), real);
}

fn wrapper(path: &Path, gh: &Path) {
    write_program(path, &format!("#!/bin/sh\nexec {} \"$@\"\n", gh.display()));
}

fn versions(ghs: &[Gh]) -> String {
    let versions: Vec<_> = ghs.iter().map(|gh| gh.version.as_str()).collect();
    versions.join(", ")
}
