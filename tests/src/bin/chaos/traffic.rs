//! The agents: each works on a private repository with a real git, by helper or
//! by askpass, and now and then asks for a token as a script does.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::ledger::Verdict;
use molecule_tests::programs::Git;
use molecule_tests::world::{Ran, Wiring, World, run};

use crate::dice::Dice;

/// A shim gives up after ten seconds, and git may ask twice.
const DEADLINE: Duration = Duration::from_secs(40);

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    /// All that was said, where it failed.
    pub(crate) failure: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Traffic {
    done: Mutex<Vec<Operation>>,
    pub(crate) stop: AtomicBool,
}

pub(crate) struct Agent<'a> {
    pub(crate) traffic: &'a Traffic,
    pub(crate) world: &'a World,
    pub(crate) git: &'a Git,
    pub(crate) number: usize,
    pub(crate) dice: Dice,
    pub(crate) was_refused: bool,
}

impl Traffic {
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.done.lock().expect("no holder panics").clone()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Agent<'_> {
    /// Until it is told to stop.
    pub(crate) fn work(mut self) {
        let repository = format!("acme/app-{}.git", self.number);
        self.world.host.create_repository(&repository);
        let url = self.world.host.url(&repository);
        let folder = self.world.work().join(format!("app-{}", self.number));
        let path = folder.display().to_string();
        while !self.traffic.stopped() {
            // Who was just refused asks again no faster than people do.
            thread::sleep(if self.was_refused { self.dice.millis(200, 800) } else { Duration::ZERO });
            match self.dice.below(8) {
                0 => self.token(),
                1 => {
                    let _ = fs::remove_dir_all(&folder);
                    self.works("clone", &["clone", "--quiet", &url, &path]);
                }
                _ if !is_whole(&folder) => {
                    let _ = fs::remove_dir_all(&folder);
                    self.works("clone", &["clone", "--quiet", &url, &path]);
                }
                2 | 3 => self.works("fetch", &["-C", &path, "fetch", "--quiet", "origin"]),
                4 => self.works("list", &["ls-remote", "--quiet", &url]),
                _ => {
                    self.git(Wiring::Nothing, &["-C", &path, "commit", "--quiet", "--allow-empty", "-m", "Work"]);
                    self.works("push", &["-C", &path, "push", "--quiet", "--force", "origin", "HEAD:main"]);
                }
            }
        }
    }

    /// One operation that needs a password; it is counted either way.
    fn works(&mut self, name: &'static str, arguments: &[&str]) {
        let wiring = if self.dice.below(3) == 0 { Wiring::Askpass } else { Wiring::Helper };
        let began = Instant::now();
        let ran = self.git(wiring, arguments);
        let failure = (!ran.success()).then(|| told(&ran));
        self.note(Operation { name, began, took: ran.took, failure });
    }

    fn git(&self, wiring: Wiring, arguments: &[&str]) -> Ran {
        run(self.world.git(self.git, wiring).args(arguments), DEADLINE)
    }

    fn token(&mut self) {
        let began = Instant::now();
        let ran = self.world.broker.control(&["token"]);
        let worth = self.world.ledger.verdict(ran.stdout.trim());
        let failure = match (ran.success(), worth) {
            (true, Verdict::Live) => None,
            // It may die between being printed and being looked at.
            (true, Verdict::Expired) => Some(String::from("Authentication failed")),
            (true, other) => Some(format!("it printed a token that is {other:?}")),
            (false, _) => Some(told(&ran)),
        };
        self.note(Operation { name: "token", began, took: ran.took, failure });
    }

    fn note(&mut self, operation: Operation) {
        self.was_refused = operation.failure.is_some();
        self.traffic.done.lock().expect("no holder panics").push(operation);
    }
}

fn is_whole(folder: &Path) -> bool {
    folder.join(".git/HEAD").is_file()
}

fn told(ran: &Ran) -> String {
    match ran.status {
        None => format!("killed after {DEADLINE:?}: {}", ran.stderr.trim()),
        Some(status) => format!("{status}: {}", ran.stderr.trim()),
    }
}
