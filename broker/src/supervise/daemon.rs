//! One daemon's life, from its supervisor's side.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::stage;
use super::watchdog::{PERIOD, Watchdog};
use crate::clock;
use crate::service_manager::SOCKET;

/// sd_listen_fds(3): the first descriptor that is handed over.
const FIRST: i32 = 3;

pub struct Daemon {
    pub pid: Pid,
    pub ready_since: Option<Duration>,
    pub watchdog: Watchdog,
}

/// What every daemon is started with.
pub struct Hand<'h> {
    pub arguments: &'h [OsString],
    pub user: &'h str,
    pub listener: &'h UnixListener,
    pub leases: Vec<(String, OwnedFd)>,
    pub notify: &'h str,
    pub restarts: u64,
}

impl Daemon {
    pub fn start(hand: Hand<'_>) -> io::Result<Self> {
        let mut names = vec![SOCKET.to_owned()];
        let mut descriptors = vec![OwnedFd::from(hand.listener.try_clone()?)];
        for (name, memory) in hand.leases {
            names.push(name);
            descriptors.push(memory);
        }
        let count = descriptors.len();
        let numbered = descriptors.into_iter().zip(FIRST..);
        let mappings = numbered.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        let mut command = stage::daemon(hand.user, FIRST as usize + count - 1);
        command.arg("serve").args(hand.arguments);
        command.args(["--restarts", &hand.restarts.to_string(), "--supervisor", &std::process::id().to_string()]);
        command
            .env("LISTEN_FDS", count.to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("NOTIFY_SOCKET", hand.notify)
            .env("WATCHDOG_USEC", PERIOD.as_micros().to_string())
            .stdin(Stdio::null())
            // The terminal's signals are for the command.
            .process_group(0)
            .fd_mappings(mappings)
            .map_err(io::Error::other)?;
        let child = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        Ok(Self { pid, ready_since: None, watchdog: Watchdog::start(clock::awake()) })
    }

    pub fn signal(&self, signal: Signal) {
        // Not waited for yet, so the number can't be somebody else's.
        let _ = kill(self.pid, signal);
    }
}
