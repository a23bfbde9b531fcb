//! Test world with its own folders, an explicit environment, a platform and an
//! optional daemon.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::platform::FakePlatform;
use super::{Ability, BROKER, can, program as start, reachable, set_mode, text, wait_for, wire};

/// Configuration with retries in fractions of a second and an immediate first
/// fetch.
pub const FAST: &str = "[refresh]\nboot_spread = \"0s\"\nretry_base = \"100ms\"\nretry_max = \"400ms\"\nattempt_timeout = \"2s\"\n\
                        same_token_min = \"100ms\"\nsame_token_max = \"200ms\"\nforced_min_gap = \"300ms\"\nreplication_lag = \"0s\"\n";

/// Returns `config` with up to an hour between retries.
pub fn calm(config: &str) -> String {
    let slow = config.replace("retry_base = \"100ms\"", "retry_base = \"1h\"");
    slow.replace("retry_max = \"400ms\"", "retry_max = \"1h\"")
}

pub struct DaemonWorld {
    root: tempfile::TempDir,
    pub env: BTreeMap<String, String>,
    pub platform: FakePlatform,
    daemon: Option<Child>,
}

impl DaemonWorld {
    /// Creates a world without a configuration file.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        set_mode(root.path(), 0o755);
        for folder in ["home", "bin", "run", "configs", "repo"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            set_mode(&root.path().join(folder), 0o755);
        }
        let platform = FakePlatform::start();
        let shown = |name: &str| root.path().join(name).display().to_string();
        let env = [
            ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", shown("bin"))),
            ("HOME", shown("home")),
            ("PLATFORM_URL", platform.url.clone()),
            ("WORKSPACE_ID", "w-1".into()),
            ("CONFIGS_DIR", shown("configs")),
            ("MOLECULE_BROKER_SOCKET", shown("run/broker.sock")),
            ("MOLECULE_BROKER_LOG", "debug".into()),
            ("GIT_CONFIG_SYSTEM", shown("system")),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let world = Self { env: env.into_iter().collect(), platform, daemon: None, root };
        world.bearer("bearer-1");
        world
    }

    /// Creates a world with the configuration [`FAST`].
    pub fn fast() -> Self {
        let mut world = Self::new();
        world.config(FAST);
        world
    }

    /// Creates a world with a daemon that holds a token and doesn't fetch
    /// another one automatically for a long time.
    pub fn settled() -> Self {
        let mut world = Self::fast();
        world.start();
        world.settle();
        world
    }

    /// Creates a settled world where a failed refresh isn't retried
    /// automatically for minutes.
    pub fn calm() -> Self {
        let mut world = Self::new();
        world.config(&calm(FAST));
        world.start();
        world.settle();
        world
    }

    /// Refreshes once more, because the first interval may be very short and
    /// only the second one has its full length.
    pub fn settle(&self) {
        wait_for("the first token", || self.credential("github")["serving"].as_bool().filter(|serving| *serving));
        assert!(self.broker(&["refresh", "github"]).status.success());
        assert!(self.credential("github")["next_refresh_in_s"].as_u64() > Some(600));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/broker.sock")
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.into(), value.into());
    }

    /// Writes a configuration file and names it in the environment.
    pub fn config(&mut self, text: &str) {
        self.rewrite_config(text);
        self.set("MOLECULE_BROKER_CONFIG", self.path("config.toml").display().to_string());
    }

    /// Rewrites the configuration file.
    pub fn rewrite_config(&self, text: &str) {
        fs::write(self.path("config.toml"), text).unwrap();
        set_mode(&self.path("config.toml"), 0o644);
    }

    /// Replaces the bearer's file, as the platform's own client does.
    pub fn bearer(&self, bearer: &str) {
        let new = self.path("configs/.new");
        fs::write(&new, format!("{bearer}\n")).unwrap();
        set_mode(&new, 0o644);
        fs::rename(new, self.path("configs/.auth_token")).unwrap();
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = start(program);
        command.env_clear().envs(&self.env).current_dir(self.path("repo")).stdin(Stdio::null());
        command
    }

    /// Returns the path of the binary, or of a copy, that every user can run.
    pub fn reachable_broker(&self) -> String {
        reachable(BROKER.as_ref(), self.root.path()).display().to_string()
    }

    pub fn broker(&self, words: &[&str]) -> Output {
        self.command(BROKER).args(words).output().unwrap()
    }

    pub fn git(&self, words: &[&str]) {
        let done = self.command("git").args(words).output().unwrap();
        assert!(done.status.success(), "git {words:?}: {}", text(&done.stderr));
    }

    /// Writes a shell script as an executable.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        set_mode(&path, 0o755);
        path
    }

    pub fn start(&mut self) {
        self.start_through(&[]);
    }

    /// Starts the daemon through the command `words`, which runs the program
    /// that follows it.
    pub fn start_through(&mut self, words: &[&str]) {
        self.spawn_through(words);
        self.wait_until_it_answers();
    }

    /// Starts the daemon through the command `words` and doesn't wait.
    pub fn spawn_through(&mut self, words: &[&str]) {
        let broker = if words.is_empty() { String::from(BROKER) } else { self.reachable_broker() };
        let words: Vec<&str> = words.iter().copied().chain([&*broker, "serve"]).collect();
        let mut command = self.command(words[0]);
        command.args(&words[1..]);
        self.spawn(command);
    }

    /// Starts a copy of the binary as another user, as `supervise` does: without
    /// the capabilities to read files that aren't that user's.
    pub fn start_as_user(&mut self, uid: u32, binary: &Path) {
        let mut command = self.command(binary.to_str().unwrap());
        command.arg("serve").uid(uid).gid(uid);
        self.spawn(command);
        self.wait_until_it_answers();
    }

    /// Starts the daemon with these options before `serve` and doesn't wait.
    pub fn spawn_serve(&mut self, options: &[&str]) {
        let mut command = self.command(BROKER);
        command.args(options).arg("serve");
        self.spawn(command);
    }

    /// Starts the daemon with this log and doesn't wait.
    pub fn spawn_into(&mut self, log: impl Into<Stdio>) {
        let mut command = self.command(BROKER);
        self.daemon = Some(command.arg("serve").stderr(log).spawn().unwrap());
    }

    fn spawn(&mut self, mut command: Command) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.daemon = Some(command.stderr(log).spawn().unwrap());
    }

    fn wait_until_it_answers(&mut self) {
        wait_for("the daemon's first answer", || {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended with {ended:?}: {}", self.log());
            self.broker(&["status"]).status.code().filter(|code| *code != 3)
        });
    }

    /// Starts a daemon that must fail. Returns its exit status and stderr.
    pub fn fails_to_start(&self) -> (i32, String) {
        let began = Instant::now();
        let mut child = self.command(BROKER).arg("serve").stderr(Stdio::piped()).spawn().unwrap();
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > Duration::from_secs(10) => {
                    child.kill().unwrap();
                    panic!("the daemon started: {:?}", child.wait_with_output());
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (ended.code().unwrap(), text(&child.wait_with_output().unwrap().stderr))
    }

    /// Returns the daemon's pid, also where it runs below another program.
    pub fn pid(&self) -> u32 {
        serving(self.daemon.as_ref().unwrap().id())
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.daemon.as_ref()?;
        self.signal(Signal::SIGTERM);
        Some(self.stopped())
    }

    /// Waits for the end of a daemon that was already told to stop.
    pub fn stopped(&mut self) -> ExitStatus {
        self.daemon.take().unwrap().wait().unwrap()
    }

    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.stopped();
    }

    pub fn ask(&self, request: &str) -> String {
        wire::ask(&self.socket(), request.as_bytes())
    }

    pub fn get(&self) -> String {
        self.ask(wire::GET)
    }

    pub fn token(&self) -> Option<String> {
        wire::password(&self.get()).map(str::to_owned)
    }

    pub fn status(&self) -> serde_json::Value {
        let answer = self.ask("molecule/1 status\n\n");
        serde_json::from_str(answer.lines().nth(1).unwrap()).unwrap()
    }

    pub fn credential(&self, name: &str) -> serde_json::Value {
        let status = self.status();
        let list = status["credentials"].as_array().unwrap();
        list.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name} in {status}")).clone()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Returns the number of the daemon's open descriptors, or `None` with a
    /// SKIP line where they can't be seen.
    pub fn descriptors(&self) -> Option<usize> {
        let count = || fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count();
        can(&[Ability::LookIntoClosed]).then(count)
    }

    /// Seconds of processor time that the daemon has used.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Returns the daemon's private memory in bytes.
    pub fn memory(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).unwrap();
        let kib = |field: &str| -> u64 {
            let line = rollup.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        (kib("Private_Clean:") + kib("Private_Dirty:")) * 1024
    }
}

impl Drop for DaemonWorld {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let pid = serving(daemon.id());
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Returns the daemon's pid among this process and its descendants, or this
/// pid.
fn serving(pid: u32) -> u32 {
    daemon_below(pid).unwrap_or(pid)
}

/// Returns the daemon's pid among this process and its descendants.
pub fn daemon_below(pid: u32) -> Option<u32> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = arguments.split(|byte| *byte == 0);
    if words.next().is_some_and(|program| program.ends_with(b"molecule-broker")) && words.next() == Some(b"serve") {
        return Some(pid);
    }
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().find_map(|child| daemon_below(child.parse().unwrap()))
}
