//! The broker under test. It is started with an explicit environment, can be
//! killed and started again, and its status is read through the control
//! command.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::WorldSetup;
use super::config::refresh_table;
use super::run::{RunResult, run};
use crate::git_host::GitHost;
use crate::platform::Platform;
use crate::program;
use crate::wait::poll;

const READY_WITHIN: Duration = Duration::from_secs(10);

pub struct Broker {
    program: PathBuf,
    env: BTreeMap<String, String>,
    log: PathBuf,
    config: PathBuf,
    audit: PathBuf,
    child: Option<Child>,
}

impl Broker {
    pub(super) fn new(program: &Path, dir: &Path, setup: &WorldSetup, platform: &Platform, host: &GitHost) -> Self {
        let audit = dir.join("audit.log");
        let config = dir.join("config.toml");
        let text = format!(
            "{}\n[log]\naudit_file = \"{}\"\n\n{}\n{}",
            setup.config_head,
            audit.display(),
            refresh_table(setup.life),
            setup.config_tail
        );
        fs::write(&config, text).expect("our own folder is writable");
        let shown = |path: &Path| path.display().to_string();
        let mut env = BTreeMap::from(
            [
                ("PATH", String::from("/usr/local/bin:/usr/bin:/bin")),
                ("HOME", shown(&dir.join("home"))),
                ("PLATFORM_URL", platform.url()),
                ("WORKSPACE_ID", platform.workspace()),
                ("CONFIGS_DIR", shown(&dir.join("configs"))),
                ("SSL_CERT_FILE", shown(&dir.join("ca.pem"))),
                ("MOLECULE_BROKER_SOCKET", shown(&dir.join("run/broker.sock"))),
                ("MOLECULE_BROKER_CONFIG", shown(&config)),
                ("MOLECULE_BROKER_HOSTS", setup.hosts.clone().unwrap_or_else(|| host.origin())),
                ("MOLECULE_BROKER_LOG", String::from("debug")),
            ]
            .map(|(name, value)| (String::from(name), value)),
        );
        for (name, value) in &setup.broker_env {
            match value {
                Some(value) => env.insert(String::from(*name), value.clone()),
                None => env.remove(*name),
            };
        }
        Self { program: program.to_path_buf(), env, log: dir.join("broker.log"), config, audit, child: None }
    }

    /// Starts the broker and waits until it answers on its socket.
    #[track_caller]
    pub fn start(&mut self) {
        self.try_start().unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// The same as [`Self::start`], for programs that a person runs.
    ///
    /// # Errors
    /// The broker doesn't answer. The text contains its whole log.
    pub fn try_start(&mut self) -> Result<(), String> {
        self.spawn();
        let ready = poll(READY_WITHIN, || {
            if !self.is_running() {
                return Some(false);
            }
            self.try_status().map(|_| true)
        });
        match ready {
            Some(true) => Ok(()),
            _ => Err(format!("the broker doesn't answer; its log:\n{}", self.log())),
        }
    }

    /// Starts the broker and doesn't wait.
    pub fn spawn(&mut self) {
        self.spawn_through(&[] as &[&str]);
    }

    /// The same, through another program, such as strace.
    pub fn spawn_through(&mut self, way: &[impl AsRef<OsStr>]) {
        assert!(!self.is_running(), "the broker runs already");
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("our own folder is writable");
        let child = self
            .command_through(way, &["serve"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log's descriptor can be duplicated"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program.display()));
        self.child = Some(child);
    }

    pub fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => false,
        }
    }

    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the broker was started").id()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid fits");
        kill(Pid::from_raw(pid), signal).expect("the child hasn't been reaped yet");
    }

    /// Kills the broker with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends SIGTERM and returns the exit status.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let mut child = self.child.take().expect("just signalled");
        match poll(Duration::from_secs(10), || child.try_wait().ok().flatten()) {
            Some(status) => status,
            None => {
                let _ = child.kill();
                panic!("the broker ignores SIGTERM; its log:\n{}", self.log());
            }
        }
    }

    /// Runs a control command, such as `&["refresh"]`.
    pub fn control(&self, arguments: &[&str]) -> RunResult {
        run(&mut self.command(arguments), Duration::from_secs(15))
    }

    /// Returns a command for the broker's program in the daemon's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_through(&[] as &[&str], arguments)
    }

    /// The same, through a program that starts the broker or execs it.
    pub fn command_through(&self, way: &[impl AsRef<OsStr>], arguments: &[&str]) -> Command {
        let mut words = way.iter().map(AsRef::as_ref).chain([self.program.as_os_str()]);
        let mut command = program(words.next().expect("there is at least the program itself"));
        command.args(words).env_clear().envs(&self.env).args(arguments);
        command
    }

    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.insert(String::from(name), String::from(value));
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.try_status().expect("the broker answers `status --json`")
    }

    pub fn try_status(&self) -> Option<Value> {
        let ran = self.control(&["status", "--json"]);
        serde_json::from_str(&ran.stdout).ok()
    }

    /// Returns one credential of the status, such as `github`.
    #[track_caller]
    pub fn credential(&self, name: &str) -> Value {
        let status = self.status();
        let credentials = status["credentials"].as_array().cloned().unwrap_or_default();
        credentials
            .into_iter()
            .find(|credential| credential["name"] == name)
            .unwrap_or_else(|| panic!("no credential {name} in {status}"))
    }

    /// Returns everything that the broker wrote to stdout and stderr since its
    /// first start.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub fn audit(&self) -> String {
        fs::read_to_string(&self.audit).unwrap_or_default()
    }

    pub fn audit_file(&self) -> &Path {
        &self.audit
    }

    pub fn config_file(&self) -> &Path {
        &self.config
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
