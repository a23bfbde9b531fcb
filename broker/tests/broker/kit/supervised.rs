//! A supervisor with its daemon, and what it said.

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
    /// `supervise` with these words, by way of another program if one is
    /// needed to get there.
    pub fn supervise_by<W: AsRef<str>>(&self, way: &[W], words: &[&str]) -> Supervised<'_> {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let whole: Vec<&str> =
            way.iter().map(AsRef::as_ref).chain([BROKER, "supervise"]).chain(words.iter().copied()).collect();
        let mut command: Command = self.command(whole[0]);
        let child = command.args(&whole[1..]).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        Supervised { world: self, child: child.spawn().unwrap() }
    }

    /// A way by which this is the user database.
    pub fn with_passwd(&self, passwd: &Path) -> [String; 6] {
        let mount = format!("mount --bind {} /etc/passwd && exec \"$@\"", passwd.display());
        ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(str::to_owned)
    }

    /// A way by which there is a user for the daemon alone, with uid 12345.
    pub fn with_own_user(&self) -> [String; 6] {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write(self.path("passwd"), format!("{passwd}molecule-broker:x:12345:12345::/:/bin/false\n")).unwrap();
        self.with_passwd(&self.path("passwd"))
    }

    pub fn supervise(&self, words: &[&str]) -> Supervised<'_> {
        self.supervise_by::<&str>(&[], words)
    }

    /// What `molecule-broker token` prints, which outlives a daemon's death.
    pub fn printed_token(&self) -> Option<String> {
        let done = self.broker(&["token"]);
        done.status.success().then(|| text(&done.stdout).trim().to_owned())
    }

    /// The daemon that answers now.
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

    /// The daemon that serves, once one does, and isn't this one.
    pub fn daemon_but(&self, not: Option<Pid>) -> Pid {
        wait_for("a daemon", || self.world.daemon().filter(|pid| Some(*pid) != not))
    }

    pub fn daemon(&self) -> Pid {
        self.daemon_but(None)
    }

    /// Kills the daemon and waits for the next one to serve.
    pub fn replace_daemon(&self) -> Pid {
        let old = self.daemon();
        // In a pid namespace of its own it has another number there.
        let here = daemon_below(self.pid().as_raw() as u32).unwrap();
        kill(Pid::from_raw(here as i32), Signal::SIGKILL).unwrap();
        self.daemon_but(Some(old))
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // Its command goes with it only if it is asked.
            self.signal(Signal::SIGCONT);
            self.signal(Signal::SIGTERM);
            let until = Instant::now() + Duration::from_secs(5);
            while self.child.try_wait().unwrap().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            // unshare(1) doesn't hear it, and takes all of its own along.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.world.log());
        }
    }
}

/// Waits as long as it takes the supervisor's watchdog to bark, and then some.
#[track_caller]
pub fn wait_long<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(Duration::from_secs(90), what, look)
}
