//! One agent: a private repository, a clone of it, and a real git.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Operation, Traffic};
use crate::ledger::random_alphanumerics;
use crate::programs::Git;
use crate::world::{Ran, Wiring, World, run};

/// A shim gives up after ten seconds, and git may ask several times. Who runs
/// into it hangs.
const DEADLINE: Duration = Duration::from_secs(40);

/// What git-lfs keeps instead of git.
const OBJECT: &str = "object.bin";

/// It packs to three quarters of that, which is above git's default of 1 MiB
/// for `http.postBuffer`.
const LARGE_TEXT: usize = 3 << 19;

pub struct Agent<'a> {
    pub world: &'a World,
    /// How its git comes by a password from here on.
    pub wiring: Wiring,
    traffic: &'a Traffic,
    git: &'a Git,
    host: String,
    url: String,
    folder: PathBuf,
    in_step: bool,
}

impl<'a> Agent<'a> {
    /// With a repository of its own on the host, which it calls by `name`.
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

    /// The `host:port` that it works with.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn has_clone(&self) -> bool {
        self.folder.join(".git/HEAD").is_file()
    }

    /// Each of these is counted, and says whether it went well.
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

    /// A new commit. By force: an earlier push may have arrived without its
    /// answer getting back.
    pub fn push(&mut self) -> bool {
        self.git(&["-C", &self.path(), "commit", "--quiet", "--allow-empty", "-m", "Work"]);
        self.push_as("push")
    }

    /// A new object, which git-lfs uploads before git pushes the commit.
    pub fn push_object(&mut self) -> bool {
        let path = self.path();
        if !self.folder.join(".git/hooks/pre-push").is_file() {
            self.git(&["-C", &path, "lfs", "install", "--local"]);
            self.git(&["-C", &path, "lfs", "track", OBJECT]);
        }
        // Without the folder the commit fails, and so does the push.
        let _ = fs::write(self.folder.join(OBJECT), random_alphanumerics(20_000));
        self.git(&["-C", &path, "add", "."]);
        self.git(&["-C", &path, "commit", "--quiet", "-m", "Work"]);
        self.push_as("lfs up")
    }

    /// A commit that git sends in chunks, behind a probe of its own
    /// (git-config(1), `http.postBuffer`). It goes to a place from which no
    /// clone takes it.
    pub fn push_large(&self) -> bool {
        let path = self.path();
        // Without the file the commit fails, and so does the push.
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

    /// Whether the host has all that the clone has.
    pub fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// The real gh at the host's API: by `exec`, or by the shim where it was
    /// linked under gh's name.
    pub fn gh(&self, by_exec: bool) -> bool {
        let mut command = self.world.typed(&[]);
        command.env("GH_HOST", &self.host);
        if by_exec {
            command.args(["molecule-broker", "exec", "--host", &self.host, "--"]);
        }
        let name = if by_exec { "exec" } else { "gh" };
        self.traffic.run(name, (&self.program(), &self.host), command.args(["gh", "api", "user"]), DEADLINE)
    }

    /// Has git-lfs download what the clone's commit names.
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

    fn git(&self, arguments: &[&str]) -> Ran {
        run(self.world.git(self.git, self.wiring).args(arguments), DEADLINE)
    }

    fn path(&self) -> String {
        self.folder.display().to_string()
    }
}
