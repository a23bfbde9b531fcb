//! SupervisorSignals as something to read: all are held back and come one at a time, so
//! that none interrupts anything (signalfd(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Those that tell of a fault in this very process, or of its log: never held
/// back.
const FAULTS: [Signal; 8] = [
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    // Of a log that nobody reads any more. Held back it would come, though it
    // is ignored.
    Signal::SIGPIPE,
];

/// Of its terminal: held back, and meant for nobody else.
const TERMINAL: [Signal; 2] = [Signal::SIGTTIN, Signal::SIGTTOU];

pub struct SupervisorSignals(SignalFd);

impl SupervisorSignals {
    pub fn hold() -> io::Result<Self> {
        let mut held = SigSet::all();
        FAULTS.iter().for_each(|signal| held.remove(*signal));
        held.thread_set_mask()?;
        TERMINAL.iter().for_each(|signal| held.remove(*signal));
        Ok(Self(SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
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
