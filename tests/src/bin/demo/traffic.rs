//! The agents: each clones, fetches and pushes a private repository over
//! HTTPS, in a loop, with a real git and whatever password it is given.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use molecule_tests::programs::Git;
use molecule_tests::world::{Ran, Wiring, World, run};

/// Far above what any of them takes: who runs into it hangs.
const DEADLINE: Duration = Duration::from_secs(30);
const ROUNDS_PER_CLONE: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) git: String,
    pub(crate) took: Duration,
    /// What git said, where it failed.
    pub(crate) failure: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Traffic {
    done: Mutex<Vec<Operation>>,
    pub(crate) stop: AtomicBool,
}

impl Traffic {
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.done.lock().expect("no holder panics").clone()
    }

    /// One agent, until it is told to stop.
    pub(crate) fn agent(&self, world: &World, git: &Git, wiring: Wiring, number: usize) {
        let repository = format!("acme/app-{number}.git");
        world.host.create_repository(&repository);
        let url = world.host.url(&repository);
        let clone = world.work().join(format!("app-{number}"));
        let mut agent = Agent { traffic: self, world, git, wiring };
        while !self.stopped() {
            let folder = clone.display().to_string();
            let _ = fs::remove_dir_all(&clone);
            if !agent.works("clone", &["clone", "--quiet", &url, &folder]) {
                continue;
            }
            for _ in 0..ROUNDS_PER_CLONE {
                if self.stopped() {
                    break;
                }
                let commit = ["-C", &folder, "commit", "--quiet", "--allow-empty", "-m", "Work"];
                agent.git(&commit).ok();
                agent.works("push", &["-C", &folder, "push", "--quiet", "origin", "HEAD:main"]);
                agent.works("fetch", &["-C", &folder, "fetch", "--quiet", "origin"]);
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

struct Agent<'a> {
    traffic: &'a Traffic,
    world: &'a World,
    git: &'a Git,
    wiring: Wiring,
}

impl Agent<'_> {
    /// One operation that needs a password; it is counted either way.
    fn works(&mut self, name: &'static str, arguments: &[&str]) -> bool {
        let ran = self.git(arguments);
        let works = ran.success();
        self.traffic.done.lock().expect("no holder panics").push(Operation {
            name,
            git: self.git.version.clone(),
            took: ran.took,
            failure: (!works).then(|| match ran.status {
                None => format!("killed after {DEADLINE:?}: {}", ran.stderr.trim()),
                Some(status) => format!("{status}: {}", ran.stderr.trim()),
            }),
        });
        works
    }

    fn git(&self, arguments: &[&str]) -> Ran {
        run(self.world.git(self.git, self.wiring).args(arguments), DEADLINE)
    }
}
