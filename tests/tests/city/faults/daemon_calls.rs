//! Failing system calls of the daemon, while it serves and while it starts.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use molecule_tests::only_in_full_run;
use molecule_tests::wait::{eventually, poll};
use molecule_tests::world::supervised::{Supervised, serves};
use molecule_tests::world::{World, WorldSetup};
use molecule_tests::{Ability, can};

use crate::faults::asker::{Heard, ask};
use crate::faults::tracer::{self, Row, Tracer};

/// Some of its calls, each with the errors that a kernel can return. Every
/// third call fails if the daemon may just continue, a run of them if it has to
/// wait.
const WHILE_IT_SERVES: [Row<'_>; 30] = [
    ("accept4", "EMFILE", "1..4"),
    ("accept4", "ENFILE", "2+3"),
    ("accept4", "ECONNABORTED", "1+3"),
    ("accept4", "EINTR", "1+2"),
    ("accept4", "EAGAIN", "2+3"),
    ("accept4", "ENOMEM", "2+3"),
    ("accept4", "EPERM", "2+3"),
    ("recvfrom", "ECONNRESET", "2+3"),
    ("recvfrom", "EINTR", "2+3"),
    ("recvfrom", "EAGAIN", "1+3"),
    ("recvfrom", "ENOMEM", "2+3"),
    ("sendto", "EPIPE", "2+3"),
    ("sendto", "ENOBUFS", "1+3"),
    ("sendto", "EAGAIN", "1+3"),
    ("sendto", "EINTR", "2+3"),
    ("read", "EIO", "1+3"),
    ("read", "EINTR", "1+3"),
    ("read", "ENOMEM", "2+3"),
    ("write", "ENOSPC", "1+2"),
    ("write", "EIO", "1+3"),
    ("write", "EINTR", "1+3"),
    ("write", "EAGAIN", "2+3"),
    ("openat", "EMFILE", "1+2"),
    ("openat", "EACCES", "1+3"),
    ("openat", "EIO", "2+3"),
    ("connect", "ECONNREFUSED", "1+2"),
    ("connect", "ENETUNREACH", "1+2"),
    ("connect", "EINTR", "1+2"),
    ("socket", "EMFILE", "1+2"),
    ("epoll_ctl", "ENOSPC", "1+2"),
];

/// Each is tried with the first call, and with all calls from the middle one
/// on.
const WHILE_IT_STARTS: [(&str, &str); 9] = [
    ("mmap", "ENOMEM"),
    ("brk", "ENOMEM"),
    ("openat", "EMFILE"),
    ("read", "EIO"),
    ("socket", "EMFILE"),
    ("bind", "EADDRINUSE"),
    ("epoll_create1", "EMFILE"),
    ("timerfd_create", "EMFILE"),
    ("write", "ENOSPC"),
];

#[test]
fn a_failing_call_of_a_serving_daemon_costs_one_refusal_at_most() {
    if !only_in_full_run("each system call of a serving daemon failing") {
        return;
    }
    let Some((world, supervised)) = traceable() else { return };
    for row in WHILE_IT_SERVES {
        println!("{row:?}");
        let daemon = supervised.daemon().unwrap();
        let tracer = Tracer::attach(daemon, &world.path().join("trace"), row);
        for _ in 0..3 {
            ask(&world);
            // The platform answers, so that only the fault of the call has an
            // effect.
            let ran = world.broker.control(&["refresh"]);
            assert!(ran.status.is_some(), "{row:?}: {ran:?}");
        }
        assert!(tracer.injected() > 0, "{row:?} made nothing fail");
        drop(tracer);
        eventually(&format!("it serves again after {row:?}"), Duration::from_secs(15), || serves(&world));
        assert_eq!(ask(&world), Heard::Token, "{row:?}");
    }
}

/// A client that sent its request in two pieces is still connected. Without an
/// answer it asks again. A refusal of its request would be final.
#[test]
fn a_failing_read_within_a_request_refuses_nothing() {
    let Some((world, supervised)) = traceable() else { return };
    let mut caller = UnixStream::connect(world.socket()).unwrap();
    caller.write_all(b"molecule/1 get\nclient=helper\n").unwrap();
    // A later client has been served, so the first piece was read.
    assert_eq!([ask(&world), ask(&world)], [Heard::Token; 2]);
    let row = ("recvfrom", "ENOMEM", "1+");
    let tracer = Tracer::attach(supervised.daemon().unwrap(), &world.path().join("trace"), row);
    caller.write_all(b"protocol=https\nhost=nowhere.example\n\n").unwrap();
    // The connection may be closed with the second piece unread.
    let mut answer = Vec::new();
    let _ = caller.read_to_end(&mut answer);
    assert!(tracer.injected() > 0, "no call failed");
    assert_eq!(String::from_utf8_lossy(&answer), "");
    drop(tracer);
    assert_eq!(ask(&world), Heard::Token);
}

/// A daemon can't continue without memory. It ends, and the next one takes over
/// its leases.
#[test]
fn a_serving_daemon_out_of_memory_loses_no_token() {
    let Some((world, supervised)) = traceable() else { return };
    let first = supervised.daemon().unwrap();
    let tracer = Tracer::attach(first, &world.path().join("trace"), ("mmap,mremap,brk", "ENOMEM", "1+"));
    world.platform.refuse_connections();
    // Unfinished requests, each of which is kept in memory as it arrives.
    let mut strangers = Vec::new();
    let starved = || {
        if let Ok(mut stranger) = UnixStream::connect(world.socket()) {
            let _ = stranger.write_all(format!("molecule/1 get\npath={}", "x".repeat(8000)).as_bytes());
            strangers.push(stranger);
        }
        world.broker.control(&["reload"]);
        tracer.injected() > 0 && supervised.daemon() != Some(first)
    };
    eventually("it runs out of memory, and ends", Duration::from_secs(20), starved);
    drop(tracer);
    eventually("the next one has the token", Duration::from_secs(15), || ask(&world) == Heard::Token);
    assert_eq!(world.ledger.all().len(), 1, "the token isn't the first one");
}

#[test]
fn a_failing_call_at_the_start_ends_the_daemon_or_it_serves() {
    if !can(&[Ability::FailingCalls, Ability::LookIntoClosed]) {
        return;
    }
    let trace = |world: &World| world.path().join("trace");
    let mut whole = World::new(WorldSetup::default());
    let words = tracer::watch(&trace(&whole));
    assert!(starts(&mut whole, &words), "{}", whole.broker.log());
    let counts = tracer::calls(&trace(&whole));
    for (call, error) in WHILE_IT_STARTS {
        let middle = counts.get(call).map_or(1, |count| count.div_ceil(2));
        for when in [String::from("1"), format!("{middle}+")] {
            let mut world = World::new(WorldSetup::default());
            let trace = trace(&world);
            let answers = starts(&mut world, &tracer::words(&trace, (call, error, &when)));
            println!("{call} {error} {when}: {}", if answers { "it answers" } else { "it ends" });
            // A daemon that answers but never refreshes isn't enough.
            let comes_to = || !world.broker.is_running() || serves(&world);
            eventually("it has a token, or ends", Duration::from_secs(20), comes_to);
            let what = format!("{call} {error} {when} makes something fail");
            eventually(&what, Duration::from_secs(5), || tracer::injected(&trace) > 0);
            ask(&world);
        }
    }
}

/// Returns a daemon that serves, with a supervisor that starts the next one.
/// Returns `None`, with a SKIP line, if its calls can't be made to fail.
fn traceable() -> Option<(World, Supervised)> {
    if !can(&[Ability::FailingCalls, Ability::LookIntoClosed]) {
        return None;
    }
    let world =
        World::new(WorldSetup { config_tail: String::from("attempt_timeout = \"1s\"\n"), ..WorldSetup::default() });
    let supervised = Supervised::start(&world);
    Some((world, supervised))
}

/// Tells whether the daemon starts. If not, it has ended.
#[track_caller]
fn starts(world: &mut World, words: &[String]) -> bool {
    // The daemon must be the child that ends with the world. With strace
    // between them, it would be left behind.
    let words = [&words[..1], &[String::from("-D")], &words[1..]].concat();
    world.broker.spawn_through(&words);
    let answers = poll(Duration::from_secs(10), || match world.broker.is_running() {
        false => Some(false),
        true => world.broker.try_status().map(|_| true),
    });
    answers.unwrap_or_else(|| panic!("{words:?}: neither up nor ended:\n{}", world.broker.log()))
}
