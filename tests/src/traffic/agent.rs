//! One agent: a private repository, a clone of it, and a real git.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Operation, Traffic};
use crate::ledger::random_alphanumerics;
use crate::programs::Git;
use crate::world::{RunResult, Wiring, World, run};

/// A shim gives up after ten seconds, and git may ask it several times. A git
/// that exceeds this deadline hangs.
const DEADLINE: Duration = Duration::from_secs(40);

/// The file that git-lfs stores instead of git.
const OBJECT: &str = "object.bin";

/// Length of the text. It packs to three quarters of it, which is above git's
/// default of 1 MiB for `http.postBuffer`.
const LARGE_TEXT: usize = 3 << 19;

pub struct Agent<'a> {
    pub world: &'a World,
    /// How its git gets a password from now on.
    pub wiring: Wiring,
    traffic: &'a Traffic,
    git: &'a Git,
    host: String,
    url: String,
    folder: PathBuf,
    in_step: bool,
}

impl<'a> Agent<'a> {
    /// Creates an agent with its own repository on the host, which the agent
    /// calls `name`.
    pub fn new(world: &'a World, traffic: &'a Traffic, git: &'a Git, number: usize, name: &str) -> Self {
        let repository = format!("acme/app-{number}.git");
        world.host.create_repository(&repository);
        Self {
            world,
            wiring: Wiring::Helper,
            traffic,
            git,
            host: world.host.origin_as(name),
            url: world.host.url_as(name, &repository),
            folder: world.work().join(format!("app-{number}")),
            in_step: false,
        }
    }

    /// Returns the `host:port` that the agent works with.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn has_clone(&self) -> bool {
        self.folder.join(".git/HEAD").is_file()
    }

    /// Clones the repository again. Like all operations below, it is recorded,
    /// and returns whether it succeeded.
    pub fn clone_anew(&mut self) -> bool {
        let _ = fs::remove_dir_all(&self.folder);
        self.in_step = self.works("clone", &["clone", "--quiet", &self.url, &self.path()]);
        self.in_step
    }

    pub fn fetch(&self) -> bool {
        self.works("fetch", &["-C", &self.path(), "fetch", "--quiet", "origin"])
    }

    pub fn list(&self) -> bool {
        self.works("list", &["ls-remote", "--quiet", &self.url])
    }

    /// Pushes a new commit. By force, because an earlier push may have arrived
    /// although its answer got lost.
    pub fn push(&mut self) -> bool {
        self.git(&["-C", &self.path(), "commit", "--quiet", "--allow-empty", "-m", "Work"]);
        self.push_as("push")
    }

    /// Pushes a new object, which git-lfs uploads before git pushes the commit.
    pub fn push_object(&mut self) -> bool {
        let path = self.path();
        if !self.folder.join(".git/hooks/pre-push").is_file() {
            self.git(&["-C", &path, "lfs", "install", "--local"]);
            self.git(&["-C", &path, "lfs", "track", OBJECT]);
        }
        // If the folder is missing, the commit fails, and so does the push.
        let _ = fs::write(self.folder.join(OBJECT), random_alphanumerics(20_000));
        self.git(&["-C", &path, "add", "."]);
        self.git(&["-C", &path, "commit", "--quiet", "-m", "Work"]);
        self.push_as("lfs up")
    }

    /// Pushes a commit that git sends in chunks, after a probe request
    /// (git-config(1), `http.postBuffer`). The commit goes to a ref that no
    /// clone fetches.
    pub fn push_large(&self) -> bool {
        let path = self.path();
        // If the file is missing, the commit fails, and so does the push.
        let _ = fs::write(self.folder.join("large.txt"), random_alphanumerics(LARGE_TEXT));
        self.git(&["-C", &path, "add", "large.txt"]);
        let ran = self.git(&["-C", &path, "commit", "--quiet", "-m", "Large work"]);
        let works = self.works("large", &["-C", &path, "push", "--quiet", "--force", "origin", "HEAD:refs/large/work"]);
        if ran.success() {
            self.git(&["-C", &path, "reset", "--quiet", "--hard", "HEAD^"]);
        }
        works && ran.success()
    }

    fn push_as(&mut self, name: &'static str) -> bool {
        self.in_step = self.works(name, &["-C", &self.path(), "push", "--quiet", "--force", "origin", "HEAD:main"]);
        self.in_step
    }

    /// True if the host has everything that the clone has.
    pub fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Runs the real gh against the host's API, by `exec`, or by the shim if it
    /// is linked under gh's name.
    pub fn gh(&self, by_exec: bool) -> bool {
        let mut command = self.world.agent_command(&[]);
        command.env("GH_HOST", &self.host);
        if by_exec {
            command.args(["molecule-broker", "exec", "--host", &self.host, "--"]);
        }
        let name = if by_exec { "exec" } else { "gh" };
        self.traffic.run(name, (&self.program(), &self.host), command.args(["gh", "api", "user"]), DEADLINE)
    }

    /// Lets git-lfs download the objects of the clone's commit.
    pub fn pull_object(&self) -> bool {
        let _ = fs::remove_dir_all(self.folder.join(".git/lfs"));
        self.works("lfs dn", &["-C", &self.path(), "lfs", "pull"])
    }

    pub fn note(&self, name: &'static str, began: SystemTime, took: Duration, failure: Option<String>) -> bool {
        let works = failure.is_none();
        let (program, host) = (self.program(), self.host.clone());
        self.traffic.note(Operation { name, program, host, began, took, failure });
        works
    }

    fn works(&self, name: &'static str, arguments: &[&str]) -> bool {
        let mut command = self.world.git(self.git, self.wiring);
        self.traffic.run(name, (&self.program(), &self.host), command.args(arguments), DEADLINE)
    }

    fn program(&self) -> String {
        format!("git {}", self.git.version)
    }

    fn git(&self, arguments: &[&str]) -> RunResult {
        run(self.world.git(self.git, self.wiring).args(arguments), DEADLINE)
    }

    fn path(&self) -> String {
        self.folder.display().to_string()
    }
}
