//! A supervisor with its daemon and its log.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::daemon_below;
use super::{BROKER, DaemonWorld, text, wait_for, wait_within};

pub struct Supervised<'w> {
    pub world: &'w DaemonWorld,
    child: Child,
}

impl DaemonWorld {
    /// Starts `supervise` with these arguments, through the command `way` if it
    /// isn't empty.
    pub fn supervise_by<W: AsRef<str>>(&self, way: &[W], words: &[&str]) -> Supervised<'_> {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let whole: Vec<&str> =
            way.iter().map(AsRef::as_ref).chain([BROKER, "supervise"]).chain(words.iter().copied()).collect();
        let mut command: Command = self.command(whole[0]);
        let child = command.args(&whole[1..]).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        Supervised { world: self, child: child.spawn().unwrap() }
    }

    /// Returns a command that runs another one with this file as its user
    /// database.
    pub fn with_passwd(&self, passwd: &Path) -> [String; 6] {
        let mount = format!("mount --bind {} /etc/passwd && exec \"$@\"", passwd.display());
        ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(str::to_owned)
    }

    /// Returns a command that runs another one where the daemon's own user
    /// exists, with uid 12345.
    pub fn with_own_user(&self) -> [String; 6] {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write(self.path("passwd"), format!("{passwd}molecule-broker:x:12345:12345::/:/bin/false\n")).unwrap();
        self.with_passwd(&self.path("passwd"))
    }

    pub fn supervise(&self, words: &[&str]) -> Supervised<'_> {
        self.supervise_by::<&str>(&[], words)
    }

    /// Returns the token that `molecule-broker token` prints. Under a supervisor
    /// the request outlives a daemon's death.
    pub fn printed_token(&self) -> Option<String> {
        let done = self.broker(&["token"]);
        done.status.success().then(|| text(&done.stdout).trim().to_owned())
    }

    /// Returns the pid of the daemon that answers now.
    pub fn daemon(&self) -> Option<Pid> {
        let status: serde_json::Value = serde_json::from_slice(&self.broker(&["status", "--json"]).stdout).ok()?;
        Some(Pid::from_raw(status["pid"].as_i64()? as i32))
    }
}

impl Supervised<'_> {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn wait(mut self) -> ExitStatus {
        wait_for("the supervisor's end", || self.child.try_wait().unwrap())
    }

    /// Waits until a daemon serves whose pid isn't `not`, and returns its pid.
    pub fn daemon_but(&self, not: Option<Pid>) -> Pid {
        wait_for("a daemon", || self.world.daemon().filter(|pid| Some(*pid) != not))
    }

    pub fn daemon(&self) -> Pid {
        self.daemon_but(None)
    }

    /// Kills the daemon and waits for the next one to serve.
    pub fn replace_daemon(&self) -> Pid {
        let old = self.daemon();
        // In its own pid namespace the daemon's pid is another number.
        let here = daemon_below(self.pid().as_raw() as u32).unwrap();
        kill(Pid::from_raw(here as i32), Signal::SIGKILL).unwrap();
        self.daemon_but(Some(old))
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // The supervisor ends its command only if it is told to stop.
            self.signal(Signal::SIGCONT);
            self.signal(Signal::SIGTERM);
            let until = Instant::now() + Duration::from_secs(5);
            while self.child.try_wait().unwrap().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            // unshare(1) ignores SIGTERM. Killing it takes along what it started.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.world.log());
        }
    }
}

/// Waits up to 90 s, which is longer than the supervisor's watchdog period.
#[track_caller]
pub fn wait_long<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(Duration::from_secs(90), what, look)
}
