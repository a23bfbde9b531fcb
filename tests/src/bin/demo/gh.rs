//! gh as it is in a container: the shim earlier on `PATH`, the provisioner's
//! dead token in every variable that gh reads, and `github.com` for its host.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use molecule_tests::programs;
use molecule_tests::proxy::Proxy;
use molecule_tests::traffic::agent::failure;
use molecule_tests::traffic::{Operation, Traffic};
use molecule_tests::world::{World, run};

/// Far above what it takes: who runs into it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Gh {
    folder: PathBuf,
    proxy: Proxy,
    dead: String,
}

impl Gh {
    /// `None` where gh isn't installed.
    pub(crate) fn of(world: &World) -> Option<Self> {
        programs::gh()?;
        let folder = world.path().join("gh");
        world.link_shim(&folder.join("gh"));
        let proxy = Proxy::start(world.host.port(), world.host.port());
        Some(Self { folder, proxy, dead: world.ledger.mint(Duration::ZERO).token })
    }

    /// Until the traffic is told to stop.
    pub(crate) fn work(&self, world: &World, traffic: &Traffic) {
        while !traffic.stopped() {
            let began = SystemTime::now();
            let ran = run(&mut self.command(world, &["api", "/user"]), DEADLINE);
            let (program, host) = (String::from("gh"), String::from("github.com"));
            traffic.note(Operation { name: "api", program, host, began, took: ran.took, failure: failure(&ran) });
        }
    }

    fn command(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = world.typed(std::slice::from_ref(&self.folder));
        command.arg("gh").args(arguments).env("HTTPS_PROXY", self.proxy.url());
        for name in ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"] {
            command.env(name, &self.dead);
        }
        command
    }
}
