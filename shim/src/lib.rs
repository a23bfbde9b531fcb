//! The shim: one program that is git's credential helper, askpass and gh's
//! front end, and forwards their requests to the broker. It holds no policy.
//!
//! In the order in which data flows:
//!
//! - [`sys`]: the kernel; the only unsafe code apart from the program's own start.
//! - [`helper`], [`askpass`], [`gh`]: the three programs, chosen by the name under
//!   which the shim is started.
//! - [`round_trip`]: one request, one answer, one [`deadline`]; [`socket_path`]
//!   finds the socket, [`trust`] judges the server; [`fallback`] answers when no
//!   daemon serves.
//! - [`messages`], [`text`]: the one line on stderr, and bounded text; [`buffers`]:
//!   the large buffers.

#![cfg_attr(not(test), no_std)]

pub use molecule_protocol as protocol;

mod askpass;
mod buffers;
mod deadline;
mod fallback;
mod gh;
mod helper;
mod messages;
mod round_trip;
mod socket_path;
pub mod sys;
mod text;
mod trust;

/// The whole program, from its name to its exit status.
#[must_use]
pub fn run(start: &sys::Start<'_>) -> u8 {
    sys::forbid_dumps();
    match start.name() {
        b"molecule-askpass" => askpass::run(start),
        b"git-credential-molecule" => helper::run(start),
        b"gh" => gh::run(start),
        _ => helper::run_as_script(start),
    }
}
