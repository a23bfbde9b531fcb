//! Signals as something to read: all are held back and come one at a time, so
//! that none interrupts anything (signalfd(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Those that tell of a fault in this very process, of its log or of its
/// terminal: they can't be meant for anybody else.
const OURS: [Signal; 10] = [
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
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

pub struct Signals(SignalFd);

impl Signals {
    pub fn hold() -> io::Result<Self> {
        let mut held = SigSet::all();
        let (faults, terminal) = OURS.split_at(8);
        faults.iter().for_each(|signal| held.remove(*signal));
        held.thread_set_mask()?;
        terminal.iter().for_each(|signal| held.remove(*signal));
        Ok(Self(SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    pub fn next(&self) -> Option<Signal> {
        let read = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(read.ssi_signo).ok()?).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
