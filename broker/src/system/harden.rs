//! What every process of ours does before anything else: its memory will hold
//! credentials, so no neighbour of the same user may look into it, and a crash
//! leaves nothing behind (prctl(2), `PR_SET_DUMPABLE`; ptrace(2), "Ptrace
//! access mode checking"; core(5)).

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// Not dumpable, which also means no core file.
pub fn harden_process() {
    // It can't fail with this argument, and there is nobody to tell yet.
    let _ = prctl::set_dumpable(false);
}

/// The limit as well, for the daemon. Not for what becomes another program or
/// starts one: it would inherit this for good.
pub fn no_core() {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Ends this process with its parent. To be called after the last change of
/// user, which undoes it.
///
/// # Errors
/// That parent is gone already.
pub fn end_with_parent(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(io::Error::other("the supervisor that started this daemon is gone"))
    }
}

/// Started as /proc/self/exe, a process is called "exe".
pub fn take_name() {
    let _ = prctl::set_name(c"molecule-broker");
}

/// Takes as many descriptors as it may: every waiting client is one.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
