//! Uses every way to a token.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use molecule_tests::ledger::TokenState;
use molecule_tests::platform::PlatformMode;
use molecule_tests::programs::{Git, gh, gits, has_git_lfs};
use molecule_tests::wait::eventually;
use molecule_tests::world::{RunResult, Wiring, World, run, run_with_input};
use molecule_tests::{program, skip};

use super::PATIENCE;
use crate::canary::watch::{ByDesign, Watch};

const TRACES: [&str; 6] =
    ["GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE_SETUP", "GIT_TRACE2", "GIT_TRACE2_EVENT"];

pub(crate) struct Work<'w> {
    pub(crate) world: &'w World,
    pub(crate) watch: &'w Watch<'w>,
}

impl Work<'_> {
    pub(crate) fn by_every_client(&self) {
        for (number, git) in gits().iter().enumerate() {
            for wiring in [Wiring::Helper, Wiring::Askpass] {
                self.clone_and_push(git, wiring, &format!("clone-{number}-{wiring:?}"));
            }
        }
        match has_git_lfs() {
            true => self.lfs(),
            false => skip("the canary by git-lfs: it isn't installed"),
        }
        match gh() {
            Some(_) => self.gh(),
            None => skip("the canary by the gh shim: gh isn't installed"),
        }
        self.exec();
        for arguments in [&["token"][..], &["token", "--format", "json"], &["token", "--format", "env"]] {
            let ran = self.world.broker.control(arguments).ok();
            assert!(ran.stdout.contains("ghs_"), "{ran:?}");
            self.keep("token", &ran.stderr);
        }
    }

    /// Runs git with everything that it can log, in files of this world.
    fn git(&self, git: &Git, wiring: Wiring, folder: &str, arguments: &[&str]) -> RunResult {
        let mut command = self.world.git(git, wiring);
        command.envs(TRACES.map(|name| (name, self.world.path().join("trace")))).env("GIT_CURL_VERBOSE", "1");
        let ran = run(command.current_dir(self.world.work().join(folder)).args(arguments), PATIENCE);
        self.keep("git", &(ran.stdout.clone() + &ran.stderr));
        ran
    }

    fn clone_and_push(&self, git: &Git, wiring: Wiring, folder: &str) {
        let branch = format!("HEAD:{folder}");
        self.git(git, wiring, ".", &["clone", &self.world.host.url("acme/app.git"), folder]).ok();
        self.git(git, wiring, folder, &["commit", "--quiet", "--allow-empty", "-m", "Work"]).ok();
        self.git(git, wiring, folder, &["push", "origin", &branch]).ok();
        self.git(git, wiring, folder, &["fetch", "origin"]).ok();
    }

    fn lfs(&self) {
        let git = &gits()[0];
        let here = |arguments: &[&str]| self.git(git, Wiring::Helper, "lfs", arguments).ok();
        let url = self.world.host.url("acme/app.git");
        self.git(git, Wiring::Helper, ".", &["clone", &url, "lfs"]).ok();
        here(&["lfs", "install", "--local"]);
        here(&["lfs", "track", "*.bin"]);
        fs::write(self.world.work().join("lfs/one.bin"), "an object").unwrap();
        here(&["add", "."]);
        here(&["commit", "--quiet", "-m", "An object"]);
        here(&["push", "origin", "HEAD:lfs"]);
        let askpass = |folder: &str, arguments: &[&str]| self.git(git, Wiring::Askpass, folder, arguments).ok();
        askpass(".", &["clone", "--branch", "lfs", &url, "lfs-again"]);
        askpass("lfs-again", &["lfs", "pull"]);
    }

    /// Runs until the real gh was seen with its token.
    fn gh(&self) {
        self.world.link_shim(&self.world.bin().join("gh"));
        eventually("gh is seen with its token", PATIENCE, || {
            let mut gh = self.world.agent_command(&[]);
            gh.args(["gh", "api", "user"]).env("GH_HOST", self.world.host.origin()).env("GH_DEBUG", "api");
            let ran = run(&mut gh, PATIENCE).ok();
            self.keep("gh", &(ran.stdout + &ran.stderr));
            self.watch.has_seen(ByDesign::Gh)
        });
    }

    /// Runs a shell with a unique name, until it was seen.
    fn exec(&self) {
        let (shell, seen) = (self.world.path().join("given-to-exec"), self.world.path().join("was-seen"));
        run(program("cp").arg("/bin/sh").arg(&shell), PATIENCE).ok();
        let mut exec = self.world.broker.command(&["exec", "--"]);
        exec.arg(&shell).args(["-c", "until [ -e \"$0\" ]; do :; done"]).arg(&seen);
        let mut exec = exec.stdin(Stdio::null()).spawn().unwrap();
        eventually("the command is seen with its token", PATIENCE, || self.watch.has_seen(ByDesign::Exec));
        fs::write(&seen, "").unwrap();
        assert!(exec.wait().unwrap().success());
    }

    /// Everything that may make a program log more.
    pub(crate) fn through_rejections_and_failures(&self) {
        let world = self.world;
        let (git, url) = (&gits()[0], world.host.url("acme/app.git"));
        // A client rejects the token, with the password on its input.
        let token = self.current();
        let rejected =
            format!("protocol=https\nhost={}\nusername=x-access-token\npassword={token}\n\n", world.host.origin());
        let asked = world.platform.request_count();
        let mut erase = world.shim("git-credential-molecule");
        let ran = run_with_input(erase.arg("erase"), rejected.as_bytes(), PATIENCE).ok();
        self.keep("erase", &(ran.stdout + &ran.stderr));
        eventually("the broker requests another token", PATIENCE, || world.platform.request_count() > asked);
        // The host rejects the token.
        world.ledger.revoke(&self.current());
        eventually("git has a live token", PATIENCE, || {
            self.git(git, Wiring::Helper, ".", &["ls-remote", &url]).success()
        });
        let asked = world.platform.request_count();
        world.platform.script_next([
            PlatformMode::Html,
            PlatformMode::WrongType,
            PlatformMode::ExpiryPast,
            PlatformMode::ExpiryText(Some("soon".into())),
            PlatformMode::ExpiryText(None),
            PlatformMode::Cut,
            PlatformMode::Fails,
        ]);
        world.broker.control(&["refresh"]);
        eventually("the bad answers are used up", PATIENCE, || world.platform.request_count() > asked + 7);
        eventually("a good token", PATIENCE, || world.ledger.state_of(&self.current()) == TokenState::Live);
    }

    fn current(&self) -> String {
        self.world.platform.requests().into_iter().rev().find_map(|one| one.token).unwrap()
    }

    pub(crate) fn by_every_command(&self) {
        for arguments in [
            &["status"][..],
            &["status", "--json"],
            &["config"],
            &["doctor"],
            &["refresh"],
            &["reload"],
            &["setup-git", "--env"],
        ] {
            let ran = self.world.broker.control(arguments);
            self.keep(arguments[0], &(ran.stdout + &ran.stderr));
        }
        let mut metrics = UnixStream::connect(self.world.path().join("run/metrics.sock")).unwrap();
        metrics.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        metrics.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        metrics.read_to_string(&mut said).unwrap();
        assert!(said.contains("molecule_broker_refresh_total"), "{said}");
        self.keep("metrics", &said);
    }

    /// Appends the text to a file that the watch searches.
    fn keep(&self, name: &str, said: &str) {
        append(&self.world.path().join(format!("said-by-{name}")), said);
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}
