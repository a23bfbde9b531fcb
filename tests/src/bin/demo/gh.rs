//! gh as it is in a container: the shim comes earlier on `PATH`, every variable
//! that gh reads has the provisioner's dead token, and the host is
//! `github.com`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use molecule_tests::programs;
use molecule_tests::proxy::Proxy;
use molecule_tests::traffic::Traffic;
use molecule_tests::world::World;

/// Far longer than it takes: a gh that exceeds it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct GhAgents {
    folder: PathBuf,
    proxy: Proxy,
    dead: String,
}

impl GhAgents {
    /// Prepares the shim and the proxy. Returns `None` if gh isn't installed.
    pub(crate) fn of(world: &World) -> Option<Self> {
        programs::gh()?;
        let folder = world.path().join("gh");
        world.link_shim(&folder.join("gh"));
        let proxy = Proxy::start(world.host.port(), world.host.port());
        Some(Self { folder, proxy, dead: world.ledger.mint(Duration::ZERO).token })
    }

    /// Runs gh until the traffic is stopped.
    pub(crate) fn work(&self, world: &World, traffic: &Traffic) {
        while !traffic.stopped() {
            traffic.run("api", ("gh", "github.com"), &mut self.command(world, &["api", "/user"]), DEADLINE);
        }
    }

    fn command(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = world.agent_command(std::slice::from_ref(&self.folder));
        command.arg("gh").args(arguments).env("HTTPS_PROXY", self.proxy.url());
        for name in programs::GH_TOKENS {
            command.env(name, &self.dead);
        }
        command
    }
}
