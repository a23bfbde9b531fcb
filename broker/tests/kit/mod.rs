//! A platform on a thread, and a daemon that asks it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod supervised;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub const BROKER: &str = env!("CARGO_BIN_EXE_molecule-broker");

/// Waits for something to be the case.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How the platform answers.
#[derive(Clone, Debug)]
pub struct Answers {
    pub status: u16,
    /// Added to the present, for the `Date` header.
    pub clock_ahead: i64,
}

pub struct Platform {
    pub url: String,
    pub answers: Arc<Mutex<Answers>>,
    /// How many tokens it has minted: `ghs_minted_1`, `ghs_minted_2`…
    pub minted: Arc<Mutex<u32>>,
}

impl Platform {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(Answers { status: 200, clock_ahead: 0 }));
        let minted = Arc::new(Mutex::new(0));
        let (a, m) = (Arc::clone(&answers), Arc::clone(&minted));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bearer = String::new();
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let line = line.unwrap_or_default();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("authorization: bearer ") {
                        bearer = value.to_owned();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let Answers { status, clock_ahead } = a.lock().unwrap().clone();
                let status = if bearer == "good" { status } else { 401 };
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().saturating_add_signed(clock_ahead);
                let body = if status == 200 {
                    let mut minted = m.lock().unwrap();
                    *minted += 1;
                    let expires_at = jiff::Timestamp::from_second(now as i64 + 3000).unwrap();
                    format!(r#"{{"token":"ghs_minted_{minted}","expires_at":"{expires_at}"}}"#)
                } else {
                    r#"{"error":"no"}"#.into()
                };
                let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url, answers, minted }
    }

    pub fn answer(&self, status: u16) {
        self.answers.lock().unwrap().status = status;
    }
}

/// Folders of its own, an environment that is spelled out, and maybe a daemon.
pub struct World {
    pub root: tempfile::TempDir,
    pub env: BTreeMap<String, String>,
    pub platform: Platform,
    daemon: Option<Child>,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        set_mode(root.path(), 0o755);
        for folder in ["home", "bin", "run", "configs", "repo"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("configs/.auth_token"), "good\n").unwrap();
        let platform = Platform::start();
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
        Self { env: env.into_iter().collect(), root, platform, daemon: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.into(), value.into());
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(self.path("repo")).stdin(Stdio::null());
        command
    }

    pub fn broker(&self, words: &[&str]) -> Output {
        self.command(BROKER).args(words).output().unwrap()
    }

    pub fn git(&self, words: &[&str]) {
        let done = self.command("git").args(words).output().unwrap();
        assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A program that a shell script is.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        set_mode(&path, 0o755);
        path
    }

    pub fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.daemon = Some(self.command(BROKER).arg("serve").stderr(log).spawn().unwrap());
        wait_for("the daemon's first answer", || {
            self.broker(&["status"]).status.code().filter(|code| *code != 3).map(|_| ())
        });
    }

    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).unwrap();
            daemon.wait().unwrap();
        }
    }

    /// It leaves its socket behind.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether this process may give files away and act as others.
pub fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIP: only root can {what}");
    }
    root
}

pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
