//! One daemon process, as its supervisor sees it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::exec_stage;
use super::notify_receiver::NotifyReceiver;
use super::watchdog::{PERIOD, Watchdog};
use crate::daemon::service_manager::{NOTIFY, SOCKET};
use crate::system::clock;
use crate::system::exit::COMMAND_NOT_STARTED;

/// The first passed descriptor (sd_listen_fds(3)).
const LISTEN_FDS_START: i32 = 3;

pub struct Daemon {
    pub pid: Pid,
    pub notifications: NotifyReceiver,
    pub ready_since: Option<Duration>,
    pub watchdog: Watchdog,
    /// True if the supervisor has sent SIGKILL because the watchdog expired.
    pub killed_by_watchdog: bool,
}

/// Everything that a daemon is started with.
pub struct DaemonSpawn<'h> {
    pub arguments: &'h [OsString],
    pub user: &'h str,
    pub listener: &'h UnixListener,
    pub leases: Vec<(String, OwnedFd)>,
    pub restarts: u64,
}

impl Daemon {
    pub fn start(spawn: DaemonSpawn<'_>) -> io::Result<Self> {
        let (notifications, notify) = NotifyReceiver::open()?;
        let mut names = vec![SOCKET.to_owned(), NOTIFY.to_owned()];
        let mut descriptors = vec![OwnedFd::from(spawn.listener.try_clone()?), notify.into()];
        for (name, memory) in spawn.leases {
            names.push(name);
            descriptors.push(memory);
        }
        let count = descriptors.len();
        let numbered = descriptors.into_iter().zip(LISTEN_FDS_START..);
        let mappings = numbered.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        let mut command = exec_stage::for_daemon(spawn.user, LISTEN_FDS_START as usize + count - 1);
        command.arg("serve").args(spawn.arguments);
        command.args(["--restarts", &spawn.restarts.to_string(), "--supervisor", &std::process::id().to_string()]);
        command
            .env("LISTEN_FDS", count.to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            // The service manager above the supervisor must get no messages from the daemon.
            .env_remove("NOTIFY_SOCKET")
            .env("WATCHDOG_USEC", PERIOD.as_micros().to_string())
            .stdin(Stdio::null())
            .stderr(reopen_stderr())
            // Keeps the terminal's signals away from the daemon: they are for the command.
            .process_group(0)
            .fd_mappings(mappings)
            .map_err(io::Error::other)?;
        let child = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        Ok(Self {
            pid,
            notifications,
            ready_since: None,
            watchdog: Watchdog::start(clock::awake()),
            killed_by_watchdog: false,
        })
    }

    pub fn signal(&self, signal: Signal) {
        // The daemon hasn't been waited for yet, so no other process can have its pid.
        let _ = kill(self.pid, signal);
    }
}

/// Reopens stderr, so that the daemon has its own open file description (open(2), "Open file
/// descriptions"). Otherwise another process could set `O_NONBLOCK` on the shared one, and the
/// daemon would lose log lines. A socket can't be reopened and is inherited.
///
/// A regular file is inherited too. It never blocks, and processes that share its description
/// share the write offset: with a description of its own, the daemon's lines and the other
/// processes' lines would overwrite each other.
fn reopen_stderr() -> Stdio {
    const LOG: &str = "/proc/self/fd/2";
    if fs::metadata(LOG).is_ok_and(|log| log.is_file()) {
        return Stdio::inherit();
    }
    let reopened = OpenOptions::new().append(true).custom_flags(OFlag::O_NOCTTY.bits()).open(LOG);
    reopened.map_or_else(|_| Stdio::inherit(), Stdio::from)
}

/// Returns the exit status that shells give for a process that was killed by this signal.
pub fn signal_status(signal: Signal) -> u8 {
    signal_number_status(signal as i32)
}

pub fn signal_number_status(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(COMMAND_NOT_STARTED)
}

/// Describes in a log line why a daemon ended.
pub fn describe_exit(status: u8, killed_by_watchdog: bool) -> String {
    let signal = status.checked_sub(128).and_then(|number| Signal::try_from(i32::from(number)).ok());
    match (status, signal) {
        (0, _) => "another process asked it to stop".into(),
        (1, _) => "it could not continue; see its log lines above".into(),
        (2, _) => "its configuration is wrong; see its log lines above".into(),
        (_, Some(Signal::SIGABRT)) => "SIGABRT, a panic: a bug in the daemon; see its log lines above".into(),
        (_, Some(Signal::SIGKILL)) if killed_by_watchdog => {
            "killed by the watchdog, since it gave no sign of life".into()
        }
        (_, Some(Signal::SIGKILL)) => "SIGKILL, from another process or because the container is out of memory".into(),
        (_, Some(signal)) => signal.to_string(),
        _ => "see its log lines above".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_described_in_words() {
        for (status, killed_by_watchdog, expected) in [
            (2, false, "its configuration is wrong"),
            (134, false, "a panic"),
            (137, false, "out of memory"),
            (137, true, "no sign of life"),
            (143, false, "SIGTERM"),
            (255, false, "see its log lines above"),
        ] {
            let text = describe_exit(status, killed_by_watchdog);
            assert!(text.contains(expected), "{status}: {text}");
        }
    }
}
