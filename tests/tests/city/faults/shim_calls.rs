//! The shim's own system calls fail: each of them, one after the other, by each
//! error that fits.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::serves;
use molecule_tests::world::{Setup, World};
use molecule_tests::{Ability, can};

use crate::faults::asker::{Heard, ask_by, heard};
use crate::faults::tracer;

/// A call that the shim doesn't make is tried as soon as it does.
const ERRORS: [(&str, &[&str]); 12] = [
    ("read", &["EIO", "EINTR"]),
    ("write", &["EPIPE", "EINTR", "EAGAIN"]),
    ("socket", &["EMFILE", "EPERM", "ENOBUFS"]),
    ("connect", &["ECONNREFUSED", "EAGAIN", "EACCES", "ENOENT", "EINTR"]),
    ("recvfrom", &["ECONNRESET", "EINTR", "EAGAIN"]),
    ("sendto", &["EPIPE", "EINTR", "EAGAIN", "ENOBUFS"]),
    ("ppoll", &["EINTR", "ENOMEM"]),
    ("getsockopt", &["ENOBUFS"]),
    ("clock_gettime", &["EINVAL"]),
    ("openat", &["EMFILE"]),
    ("mmap", &["ENOMEM"]),
    ("brk", &["ENOMEM"]),
];

#[test]
fn a_call_of_the_shim_that_fails_makes_no_half_answer_and_no_hang() {
    if !can(&[Ability::FailingCalls]) {
        return;
    }
    let world = World::started(Setup::default());
    eventually("the first token", Duration::from_secs(10), || serves(&world));
    let trace = world.path().join("trace");
    let counts = calls(&world, &trace);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (call, errors) in ERRORS {
        for number in 1..=counts.get(call).copied().unwrap_or(0) {
            for error in errors {
                let ran = ask_by(&world, &tracer::words(&trace, (call, error, &number.to_string())));
                let heard = heard(&ran, &world);
                // A question or an answer that can't be passed on ends git's
                // asking; all else is told.
                let may_be_silent = matches!(call, "read" | "write");
                assert!(heard != Heard::Nothing || may_be_silent, "{call} {number} {error}: {ran:?}");
                *outcomes.entry(format!("{call} {error}: {heard:?}")).or_default() += 1;
            }
        }
    }
    println!("{outcomes:#?}");
    assert!(outcomes.len() > 10, "hardly anything was tried: {counts:?}");
}

/// How often the shim makes each of its calls.
fn calls(world: &World, trace: &Path) -> BTreeMap<String, usize> {
    let ran = ask_by(world, &tracer::watch(trace));
    assert_eq!(heard(&ran, world), Heard::Token, "{ran:?}");
    tracer::calls(trace)
}
