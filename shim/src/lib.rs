//! The shim: one program that is git's credential helper, askpass and gh's
//! front end, and forwards their requests to the broker. It holds no policy.
//!
//! The modules, in the order in which data flows:
//!
//! - [`sys`]: the system calls. Apart from the program's entry point, this is the
//!   only unsafe code.
//! - [`helper`], [`askpass`], [`gh`]: the three programs, chosen by the name under
//!   which the shim is started.
//! - [`round_trip`]: one request and one answer within one [`deadline`].
//!   [`socket_path`] finds the socket, [`trust`] judges the server, and
//!   [`fallback`] answers when no daemon serves.
//! - [`messages`]: the line on stderr. [`text`]: bounded text. [`buffers`]: the
//!   large buffers.

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

/// Runs the program that the shim was started as, and returns its exit status.
#[must_use]
pub fn run(start: &sys::ProcessStart<'_>) -> u8 {
    sys::forbid_dumps();
    match start.name() {
        b"molecule-askpass" => askpass::run(start),
        b"git-credential-molecule" => helper::run(start),
        b"gh" => gh::run(start),
        _ => helper::run_as_script(start),
    }
}
