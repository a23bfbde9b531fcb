//! The shim: one program that git, askpass's callers and gh start, and that
//! forwards what they ask to the broker. It holds no policy.
//!
//! In the order in which data goes through it:
//!
//! - [`sys`]: the kernel; the only unsafe code beside the program's own start.
//! - [`helper`], [`askpass`], [`gh`]: the three programs that it is, by its name.
//! - [`round_trip`]: one request, one answer, one [`deadline`]; [`place`] says
//!   where the socket is, [`trust`] whose answer counts; [`fallback`] answers
//!   when nobody serves.
//! - [`speech`], [`text`]: the one line on stderr, and bounded text; [`memory`]:
//!   the large buffers.

#![cfg_attr(not(test), no_std)]

pub use molecule_protocol as protocol;

mod askpass;
mod deadline;
mod fallback;
mod gh;
mod helper;
mod memory;
mod place;
mod round_trip;
mod speech;
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
