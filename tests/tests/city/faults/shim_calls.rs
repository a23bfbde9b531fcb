//! Failing system calls of the shim: each of them, one after the other, with
//! each possible error.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::serves;
use molecule_tests::world::{World, WorldSetup};
use molecule_tests::{Ability, can};

use crate::faults::asker::{Heard, ask_by, heard};
use crate::faults::tracer;

/// Calls that the shim doesn't make are listed too. They are tried as soon as
/// it makes them.
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
fn a_failing_call_of_the_shim_gives_no_half_answer_and_no_hang() {
    if !can(&[Ability::FailingCalls]) {
        return;
    }
    let world = World::started(WorldSetup::default());
    eventually("the first token", Duration::from_secs(10), || serves(&world));
    let trace = world.path().join("trace");
    let counts = calls(&world, &trace);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (call, errors) in ERRORS {
        for number in 1..=counts.get(call).copied().unwrap_or(0) {
            for error in errors {
                let ran = ask_by(&world, &tracer::words(&trace, (call, error, &number.to_string())));
                let heard = heard(&ran, &world);
                // If the request can't be read or the answer can't be written,
                // the shim can't report it to git. All other errors are
                // reported.
                let may_be_silent = matches!(call, "read" | "write");
                assert!(heard != Heard::Nothing || may_be_silent, "{call} {number} {error}: {ran:?}");
                *outcomes.entry(format!("{call} {error}: {heard:?}")).or_default() += 1;
            }
        }
    }
    println!("{outcomes:#?}");
    assert!(outcomes.len() > 10, "too few calls were tried: {counts:?}");
}

/// Returns how often the shim makes each of its calls.
fn calls(world: &World, trace: &Path) -> BTreeMap<String, usize> {
    let ran = ask_by(world, &tracer::watch(trace));
    assert_eq!(heard(&ran, world), Heard::Token, "{ran:?}");
    tracer::calls(trace)
}
