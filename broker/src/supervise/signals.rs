//! Reads signals from a descriptor (signalfd(2)). All signals are blocked and read one at a time,
//! so that none interrupts the supervisor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that are never blocked: they report a fault in this process, or a closed log.
const NEVER_BLOCKED: [Signal; 8] = [
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    // From a log whose reader is gone. It is ignored, but the kernel queues an ignored signal while
    // it is blocked, so it would be read here.
    Signal::SIGPIPE,
];

/// Signals from the supervisor's own terminal. They are blocked but not read: they aren't for the
/// command.
const TERMINAL: [Signal; 2] = [Signal::SIGTTIN, Signal::SIGTTOU];

pub struct SupervisorSignals(SignalFd);

impl SupervisorSignals {
    pub fn block_all() -> io::Result<Self> {
        let mut blocked = SigSet::all();
        NEVER_BLOCKED.iter().for_each(|signal| blocked.remove(*signal));
        blocked.thread_set_mask()?;
        TERMINAL.iter().for_each(|signal| blocked.remove(*signal));
        Ok(Self(SignalFd::with_flags(&blocked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    pub fn next(&self) -> Option<Signal> {
        let read = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(read.ssi_signo).ok()?).ok()
    }
}

impl AsFd for SupervisorSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
