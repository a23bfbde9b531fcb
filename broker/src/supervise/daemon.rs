//! One daemon's life, from its supervisor's side.

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

/// sd_listen_fds(3): the first descriptor that is handed over.
const FIRST: i32 = 3;

pub struct Daemon {
    pub pid: Pid,
    pub notifications: NotifyReceiver,
    pub ready_since: Option<Duration>,
    pub watchdog: Watchdog,
    /// The watchdog had it killed.
    pub condemned: bool,
}

/// What every daemon is started with.
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
        let numbered = descriptors.into_iter().zip(FIRST..);
        let mappings = numbered.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        let mut command = exec_stage::daemon(spawn.user, FIRST as usize + count - 1);
        command.arg("serve").args(spawn.arguments);
        command.args(["--restarts", &spawn.restarts.to_string(), "--supervisor", &std::process::id().to_string()]);
        command
            .env("LISTEN_FDS", count.to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            // Whoever supervises the supervisor has nothing to hear from it.
            .env_remove("NOTIFY_SOCKET")
            .env("WATCHDOG_USEC", PERIOD.as_micros().to_string())
            .stdin(Stdio::null())
            .stderr(reopen_stderr())
            // The terminal's signals are for the command.
            .process_group(0)
            .fd_mappings(mappings)
            .map_err(io::Error::other)?;
        let child = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        Ok(Self { pid, notifications, ready_since: None, watchdog: Watchdog::start(clock::awake()), condemned: false })
    }

    pub fn signal(&self, signal: Signal) {
        // Not waited for yet, so the number can't be somebody else's.
        let _ = kill(self.pid, signal);
    }
}

/// The same log by a description of its own: whoever shares the supervisor's
/// could make it non-blocking, and lines would be lost that the daemon writes
/// (open(2), "Open file descriptions"). A socket can't be opened again.
///
/// A plain file never blocks, and those who share its description share the
/// offset that they write at: by one of its own the daemon's lines and theirs
/// would overwrite each other.
fn reopen_stderr() -> Stdio {
    const LOG: &str = "/proc/self/fd/2";
    if fs::metadata(LOG).is_ok_and(|log| log.is_file()) {
        return Stdio::inherit();
    }
    let again = OpenOptions::new().append(true).custom_flags(OFlag::O_NOCTTY.bits()).open(LOG);
    again.map_or_else(|_| Stdio::inherit(), Stdio::from)
}

/// As shells have it.
pub fn signal_status(signal: Signal) -> u8 {
    signal_number_status(signal as i32)
}

pub fn signal_number_status(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(COMMAND_NOT_STARTED)
}

/// What a daemon's end says, for whoever reads the log.
pub fn describe_exit(status: u8, condemned: bool) -> String {
    let signal = status.checked_sub(128).and_then(|number| Signal::try_from(i32::from(number)).ok());
    match (status, signal) {
        (0, _) => "somebody told it to stop".into(),
        (1, _) => "it could not go on, as its lines above say".into(),
        (2, _) => "its configuration is wrong, as its lines above say".into(),
        (_, Some(Signal::SIGABRT)) => "SIGABRT, a panic: a fault of its own, see its lines above".into(),
        (_, Some(Signal::SIGKILL)) if condemned => "killed, since it gave no sign of life".into(),
        (_, Some(Signal::SIGKILL)) => "SIGKILL, from somebody, or because the container is out of memory".into(),
        (_, Some(signal)) => signal.to_string(),
        _ => "see its lines above".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        for (status, condemned, told) in [
            (2, false, "its configuration is wrong"),
            (134, false, "a panic"),
            (137, false, "out of memory"),
            (137, true, "no sign of life"),
            (143, false, "SIGTERM"),
            (255, false, "see its lines above"),
        ] {
            assert!(describe_exit(status, condemned).contains(told), "{status}: {}", describe_exit(status, condemned));
        }
    }
}
