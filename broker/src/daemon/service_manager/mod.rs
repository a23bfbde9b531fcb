//! The daemon's side of the protocol between systemd and its services. `supervise` implements the
//! other side too.
//!
//! The listening socket and the stored leases arrive as descriptors (sd_listen_fds(3)). The daemon
//! reports its readiness, sends watchdog pings and stores new leases over a datagram socket
//! (sd_notify(3), "FDSTORE=1"). systemd names that socket in `NOTIFY_SOCKET`; `supervise` passes it
//! as a descriptor too. The code here is the same for both.

mod descriptors;
mod notify;

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

pub use descriptors::{Handed, LEASE, NOTIFY, SOCKET, reopen_memory};
use notify::Notifier;

use crate::system::clock::{self, Alarm};
use crate::system::environment;

/// Connection to the process that started the daemon, if that process accepts messages.
#[derive(Default)]
pub struct ServiceManager {
    notifier: Option<Notifier>,
    /// The watchdog's timeout.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Reads the environment. The variables aren't removed, because each process that the
    /// daemon starts gets an environment of its own.
    #[must_use]
    pub fn from_env(handed: Option<UnixDatagram>) -> Self {
        let var = environment::text;
        let ours = var("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let timeout = var("WATCHDOG_USEC").filter(|_| ours).and_then(|usec| usec.parse().ok());
        let named = || {
            let name = environment::os("NOTIFY_SOCKET")?;
            Notifier::new(&name).inspect_err(|error| tracing::warn!("NOTIFY_SOCKET can't be used: {error}")).ok()
        };
        let notifier = handed.map(Notifier::from_connected).or_else(named);
        Self { notifier, watchdog: timeout.filter(|usec| *usec > 0).map(Duration::from_micros) }
    }

    #[must_use]
    pub fn listens(&self) -> bool {
        self.notifier.is_some()
    }

    pub fn ready(&self) {
        self.tell("READY=1");
    }

    pub fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::awake().as_micros()));
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    pub fn status(&self, line: &str) {
        self.tell(&format!("STATUS={line}"));
    }

    /// Asks the service manager to store a descriptor for the next daemon. Returns true if the
    /// message was sent; the protocol has no answer.
    pub fn store_fd(&self, name: &str, memory: &OwnedFd) -> bool {
        let message = format!("FDSTORE=1\nFDNAME={name}");
        self.notifier.as_ref().is_some_and(|notifier| notifier.send(&message, Some(memory)).is_ok())
    }

    pub fn remove_fd(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }

    /// Sends watchdog pings as long as it is polled, so that they stop when the runtime's loop
    /// stops. The interval is 3/5 of the watchdog's timeout: at 52 s that is fewer than two
    /// wake-ups a minute, with time to spare on a busy machine. A kernel timer is used, because
    /// the runtime's own timers wake up several times before a distant instant.
    ///
    /// # Errors
    /// Returns an error if no descriptor is left for the alarm.
    pub async fn send_keepalives(&self) -> io::Result<Infallible> {
        let Some(timeout) = self.watchdog.filter(|_| self.listens()) else {
            return std::future::pending().await;
        };
        let alarm = Alarm::new()?;
        loop {
            self.tell("WATCHDOG=1");
            alarm.set(Some(clock::now().boot + timeout * 3 / 5))?;
            alarm.ring().await?;
        }
    }

    fn tell(&self, message: &str) {
        if let Some(Err(error)) = self.notifier.as_ref().map(|notifier| notifier.send(message, None)) {
            tracing::debug!("the service manager can't be notified: {error}");
        }
    }
}

/// A stored memory, with the name that it was stored under.
#[derive(Debug)]
pub struct StoredFd {
    pub name: String,
    pub memory: File,
}
