//! The daemon's side of the protocol that systemd speaks with its services,
//! and that `supervise` speaks too: the listening socket and the kept leases
//! come as descriptors (sd_listen_fds(3)), and readiness, signs of life and
//! new leases go out over a datagram socket (sd_notify(3), "FDSTORE=1"): that
//! of `NOTIFY_SOCKET`, or under `supervise` one that is handed over too.
//!
//! Who holds the other end makes no difference here.

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

/// The one that started this process, if it wants to hear of it.
#[derive(Default)]
pub struct ServiceManager {
    notifier: Option<Notifier>,
    /// The watchdog's timeout.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Reads the environment, which stays as it is: whatever the daemon starts
    /// gets an environment of its own.
    #[must_use]
    pub fn from_env(handed: Option<UnixDatagram>) -> Self {
        let var = environment::text;
        let ours = var("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let silence = var("WATCHDOG_USEC").filter(|_| ours).and_then(|usec| usec.parse().ok());
        let named = || {
            let name = environment::os("NOTIFY_SOCKET")?;
            Notifier::new(&name).inspect_err(|error| tracing::warn!("NOTIFY_SOCKET can't be used: {error}")).ok()
        };
        let notifier = handed.map(Notifier::over).or_else(named);
        Self { notifier, watchdog: silence.filter(|usec| *usec > 0).map(Duration::from_micros) }
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

    /// Has a descriptor kept for the daemon after this one. Whether it was
    /// sent; the protocol has no answer.
    pub fn store_fd(&self, name: &str, memory: &OwnedFd) -> bool {
        let message = format!("FDSTORE=1\nFDNAME={name}");
        self.notifier.as_ref().is_some_and(|notifier| notifier.send(&message, Some(memory)).is_ok())
    }

    pub fn forget(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }

    /// Gives signs of life for as long as it is polled, so that they stop when
    /// the runtime's loop does. At three fifths of what is borne: at 52 s that
    /// is less than two wake-ups a minute, with time to spare for a busy
    /// machine. With an alarm of the kernel's: the runtime's own timers wake up
    /// several times on the way to a far instant.
    ///
    /// # Errors
    /// Out of descriptors for the alarm.
    pub async fn live(&self) -> io::Result<Infallible> {
        let Some(silence) = self.watchdog.filter(|_| self.listens()) else {
            return std::future::pending().await;
        };
        let alarm = Alarm::new()?;
        loop {
            self.tell("WATCHDOG=1");
            alarm.set(Some(clock::now().boot + silence * 3 / 5))?;
            alarm.ring().await?;
        }
    }

    fn tell(&self, message: &str) {
        if let Some(Err(error)) = self.notifier.as_ref().map(|notifier| notifier.send(message, None)) {
            tracing::debug!("the service manager doesn't listen: {error}");
        }
    }
}

/// A kept memory with the name that it was kept under.
#[derive(Debug)]
pub struct StoredFd {
    pub name: String,
    pub memory: File,
}
