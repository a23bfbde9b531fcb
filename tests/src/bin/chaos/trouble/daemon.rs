//! Trouble for the daemon: it is killed, stopped, reloaded or short of
//! descriptors, its calls fail, its clock jumps, or its token is rejected.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime};

use molecule_tests::skip;
use molecule_tests::traffic::reject_newest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Trouble;
use super::calls::{Call, Failing, Hits, written};
use crate::holds::status_kib;

/// The supervisor's longest pause before it restarts a daemon that is killed
/// again and again.
const RESTART: Duration = Duration::from_secs(1);

/// Number of clients that each send almost a whole request and wait, until they
/// need more memory than the allocator has.
const HOARD: usize = 200;

impl Trouble<'_> {
    pub(super) fn kill(&mut self) -> Option<String> {
        let pid = self.city.signal_daemon(Signal::SIGKILL)?;
        self.calendar.killed(RESTART);
        Some(format!("kill -9 {pid}"))
    }

    pub(super) fn stop_for_a_while(&mut self) -> Option<String> {
        let since = SystemTime::now();
        let pid = self.city.signal_daemon(Signal::SIGSTOP)?;
        let length = self.dice.millis(100, 3000);
        thread::sleep(length);
        // The daemon may have been replaced meanwhile. Then there is no process
        // to continue.
        let _ = kill(pid, Signal::SIGCONT);
        self.calendar.paused(since);
        Some(format!("stopped for {length:?}"))
    }

    /// Rejects the token as a git or a forger does it: through the helper.
    pub(super) fn reject_the_token(&mut self) -> Option<String> {
        reject_newest(&self.city.world, self.git)?;
        Some(String::from("a git rejects the newest token"))
    }

    /// Reloads a changed configuration, or a wrong one, which must change
    /// nothing. Not while no daemon is running: one that starts with the wrong
    /// configuration ends, as it must.
    pub(super) fn reload(&mut self) -> Option<String> {
        self.city.world.broker.try_status()?;
        let since = SystemTime::now();
        let good = self.dice.below(3) > 0;
        self.city.write_config(if good { "[hooks]" } else { "[nonsense]" });
        let ran = self.city.world.broker.control(&["reload"]);
        self.city.write_config("");
        self.calendar.paused(since);
        let word = if good { "good" } else { "bad" };
        Some(format!("reload of a {word} configuration: {:?} after {:.1?}", ran.code(), ran.took))
    }

    /// Limits the daemon to hardly more descriptors than it has open.
    pub(super) fn limit_descriptors(&mut self) -> Option<String> {
        let pid = self.city.daemon()?;
        let usual = limit(pid, "Max open files")?;
        let most = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() + self.dice.below(4);
        let length = self.dice.millis(300, 2000);
        let since = SystemTime::now();
        if !set_limit(pid, "nofile", &most.to_string()) {
            return None;
        }
        self.while_it_asks(length);
        set_limit(pid, "nofile", &usual);
        self.calendar.paused(since);
        self.calendar.cut_off(since);
        Some(format!("{most} descriptors at most for {length:?}"))
    }

    /// Limits the daemon to the memory that it has, while clients make it need
    /// more. It can't continue, and the supervisor starts another.
    pub(super) fn limit_memory(&mut self) -> Option<String> {
        let pid = self.city.daemon()?;
        let kib = status_kib(u32::try_from(pid.as_raw()).ok()?, "VmSize:")?;
        let length = self.dice.millis(200, 600);
        let since = SystemTime::now();
        if !set_limit(pid, "as", &(kib * 1024).to_string()) {
            return None;
        }
        let hoard = self.hoard();
        self.while_it_asks(length);
        drop(hoard);
        set_limit(pid, "as", "unlimited");
        self.calendar.paused(since);
        self.calendar.cut_off(since);
        self.calendar.killed(RESTART);
        let ended = self.city.daemon() != Some(pid);
        ended.then(|| format!("at most {kib} KiB, and the daemon ended"))
    }

    /// Returns `None`, which isn't counted, if no call failed.
    pub(super) fn fail_calls(&mut self, call: &'static Call) -> Option<String> {
        let world = &self.city.world;
        let (pid, since) = (self.city.daemon()?, SystemTime::now());
        let failing = Failing::begin(call, pid, &mut self.dice, world.path(), world.broker.audit_file());
        let length = self.dice.millis(300, 1500);
        if failing.is_some() {
            self.while_it_asks(length);
        }
        let (failed, how) = failing.as_ref().map(|one| (one.failed(), one.how.clone())).unwrap_or_default();
        drop(failing);
        self.calendar.paused(since);
        match call.hits {
            Hits::Callers => {}
            Hits::Platform => self.calendar.cut_off(since),
            Hits::Audit => self.unwritten.extend(failed.iter().filter_map(|line| written(line))),
            Hits::Daemon => {
                self.calendar.cut_off(since);
                self.calendar.killed(RESTART);
            }
        }
        let word = if self.city.daemon() == Some(pid) { "" } else { ", and the daemon ended" };
        (!failed.is_empty()).then(|| format!("{how}: {} failed in {length:?}{word}", failed.len()))
    }

    /// Lets the boot clock jump, so that every held token may expire by the
    /// daemon's clock.
    pub(super) fn jump_the_clock(&mut self) -> Option<String> {
        let by = Duration::from_secs(1 + self.dice.below(2 * self.life.as_secs() as usize) as u64);
        // During the jump the daemon may read the old time or the new one.
        let at = SystemTime::now();
        self.city.clock.as_ref()?.jump(by);
        self.calendar.jumped(at, by);
        Some(format!("the boot clock jumps forward by {by:?}"))
    }

    /// Lets the daemon ask its platform meanwhile, by the control command
    /// `refresh`. The command's own result is checked in other tests.
    fn while_it_asks(&self, length: Duration) {
        let mut refresh = self.city.world.broker.command(&["refresh"]);
        let asked = refresh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        thread::sleep(length);
        if let Ok(mut asked) = asked {
            let _ = asked.kill();
            let _ = asked.wait();
        }
    }

    fn hoard(&self) -> Vec<UnixStream> {
        let most = format!("molecule/1 get\npath={}", "x".repeat(8000));
        let some = (0..HOARD).filter_map(|_| UnixStream::connect(self.city.world.socket()).ok());
        some.filter_map(|mut stream| {
            stream.set_write_timeout(Some(Duration::from_millis(10))).ok()?;
            stream.write_all(most.as_bytes()).ok()?;
            Some(stream)
        })
        .collect()
    }
}

/// Tells whether prlimit(1) is installed, and prints a SKIP line if not.
pub(super) fn can_limit() -> bool {
    let there =
        molecule_tests::program("prlimit").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        skip("limits amid chaos: there is no prlimit here");
    }
    there
}

/// Returns the soft limit with this name in `/proc/PID/limits`.
fn limit(pid: Pid, name: &str) -> Option<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let words = limits.lines().find_map(|line| line.strip_prefix(name))?;
    words.split_whitespace().next().map(String::from)
}

fn set_limit(pid: Pid, name: &str, most: &str) -> bool {
    let mut prlimit = molecule_tests::program("prlimit");
    prlimit.args([format!("--pid={pid}"), format!("--{name}={most}:")]);
    prlimit.output().is_ok_and(|output| output.status.success())
}
