//! What every process of ours does before anything else: its memory will hold
//! credentials, so no neighbour of the same user may look into it, and a crash
//! leaves nothing behind (prctl(2), `PR_SET_DUMPABLE`; ptrace(2), "Ptrace
//! access mode checking"; core(5)).

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Not dumpable, no core file.
pub fn first() {
    // Neither can fail with these arguments, and there is nobody to tell yet.
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Takes as many descriptors as it may: every waiting client is one.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
