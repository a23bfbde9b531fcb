//! A world in which gh is wired in every way that images have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use molecule_tests::git_host::{Behaviour, GitHost};
use molecule_tests::programs::{GH_TOKENS, gh};
use molecule_tests::proxy::Proxy;
use molecule_tests::world::{Ran, Setup, World, run, write_program};
use molecule_tests::{program, skip};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How gh comes by its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Not at all: what the others are held against.
    Bare,
    /// `molecule-broker exec`, without a shim.
    Exec,
    /// As `docker/install` leaves it: gh moved aside, the shim in its place.
    Diverted,
    /// The same, run by an image's own wrapper that is earlier on `PATH`.
    WrapperOverDiverted,
    /// The shim in a folder before gh's.
    Before,
    /// Likewise, with an image's wrapper between them.
    BeforeWrapper,
}

pub(crate) const SHIMS: [Way; 4] = [Way::Diverted, Way::WrapperOverDiverted, Way::Before, Way::BeforeWrapper];

/// Where gh is pointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// github.com itself, by the city's proxy.
    GitHub,
    /// The git host's own origin, in `GH_HOST`.
    Enterprise,
}

pub(crate) struct Scene {
    pub(crate) world: World,
    /// Behind every name that isn't GitHub's.
    pub(crate) evil: GitHost,
    /// The provision-time token, dead for long.
    pub(crate) dead: String,
    site: Site,
    proxy: Proxy,
}

impl Scene {
    /// Without a broker as yet. `None`, and said, where there is no gh.
    pub(crate) fn new(site: Site, setup: Setup) -> Option<Self> {
        let Some(real) = gh() else {
            skip("the real gh through shim and exec: it isn't installed");
            return None;
        };
        let hosts = (site == Site::GitHub).then(|| String::from("github.com,gist.github.com"));
        let world = World::new(Setup { hosts, ..setup });
        furnish(&world.path().join("image"), &real, &world);
        let evil = GitHost::start(&world.ledger, Some(&world.ca));
        evil.set_behaviour(Behaviour::Refuses);
        let dead = world.ledger.mint(Duration::ZERO).token;
        let proxy = Proxy::start(world.host.port(), evil.port());
        Some(Self { world, evil, dead, site, proxy })
    }

    pub(crate) fn started(site: Site, setup: Setup) -> Option<Self> {
        let mut scene = Self::new(site, setup)?;
        scene.world.broker.start();
        Some(scene)
    }

    /// With the dead token in every variable that gh reads.
    pub(crate) fn gh(&self, way: Way, arguments: &[&str]) -> Command {
        let mut command = self.typed(way);
        if way == Way::Exec {
            command.args(["molecule-broker", "exec", "--"]);
        }
        command.arg("gh").args(arguments);
        command
    }

    pub(crate) fn run(&self, way: Way, arguments: &[&str]) -> Ran {
        run(&mut self.gh(way, arguments), PATIENCE)
    }

    /// For any other command that will come to gh.
    pub(crate) fn typed(&self, way: Way) -> Command {
        let mut command = self.world.typed(&self.folders(way));
        command
            .env("HTTPS_PROXY", self.proxy.url())
            .env("NO_PROXY", "localhost")
            .envs(GH_TOKENS.map(|name| (name, &self.dead)));
        if self.site == Site::Enterprise {
            command.env("GH_HOST", self.world.host.origin());
        }
        command
    }

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
}

fn furnish(image: &Path, real: &Path, world: &World) {
    let usr_bin = image.join("usr/bin");
    world.link_shim(&usr_bin.join("gh"));
    world.link_shim(&image.join("shims/gh"));
    fs::hard_link(real, usr_bin.join("gh.distrib")).unwrap_or_else(|_| {
        // By a process of its own, or a fork of this one for another test would
        // hold it open for writing, and then it can't be run (ETXTBSY).
        run(program("cp").arg(real).arg(usr_bin.join("gh.distrib")), PATIENCE).ok();
    });
    wrapper(&image.join("usr/local/bin/gh"), &usr_bin.join("gh"));
    wrapper(&image.join("wrapped/gh"), real);
}

fn wrapper(path: &Path, gh: &Path) {
    write_program(path, &format!("#!/bin/sh\nexec {} \"$@\"\n", gh.display()));
}
