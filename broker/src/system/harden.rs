//! Protection of this process's memory, which will hold credentials. No other process of the same
//! user may look into it, and a crash must leave nothing behind (prctl(2), `PR_SET_DUMPABLE`;
//! ptrace(2), "Ptrace access mode checking"; core(5)). Every process of this program calls
//! [`harden_process`] before anything else.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// Makes this process not dumpable, so that it leaves no core file either.
pub fn harden_process() {
    // This can't fail with this argument, and there is no log yet.
    let _ = prctl::set_dumpable(false);
}

/// Sets the limit for core files to 0 as well. Only for the daemon: a process that starts or
/// becomes another program would pass this limit on for good.
pub fn no_core() {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Makes the kernel kill this process when its parent ends. To be called after the last change of
/// user, which undoes the setting.
///
/// # Errors
/// Returns an error if that parent has already ended.
pub fn end_with_parent(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(io::Error::other("the supervisor that started this daemon is gone"))
    }
}

/// Sets the name of this process. Without it, a process that was started as `/proc/self/exe` is
/// called "exe".
pub fn take_name() {
    let _ = prctl::set_name(c"molecule-broker");
}

/// Raises the limit of descriptors as far as allowed: every waiting client needs one.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
