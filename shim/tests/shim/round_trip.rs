//! Daemons that are slow, stopped, killed, or not yet started.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Child;
use std::time::{Duration, Instant};

use molecule_protocol::limits::MAX_ANSWER;

use crate::support::*;

unsafe extern "C" {
    fn listen(fd: i32, backlog: i32) -> i32;
}

/// Returns whether the shim, which has all of its input, sleeps between two attempts.
/// `stat` is the only file of its `/proc` folder that shows this to its own user.
fn is_sleeping(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

fn assert_timed_out(output: &ProgramOutput) {
    assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
    assert!(output.err.contains("in time") && output.err.lines().count() == 1, "{output:?}");
}

#[test]
fn rule37_a_silent_broker_costs_ten_seconds_at_most() {
    let world = ShimWorld::new();
    let mut held = Vec::new();
    let _server = FakeServer::on(UnixListener::bind(world.socket()).unwrap(), move |_, stream| held.push(stream));
    let start = Instant::now();
    assert_timed_out(&world.get(GET));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn rule37_a_full_backlog_costs_ten_seconds_at_most() {
    let world = ShimWorld::new();
    let listener = UnixListener::bind(world.socket()).unwrap();
    // SAFETY: takes two numbers; on a listening socket it sets the backlog.
    assert_eq!(unsafe { listen(listener.as_raw_fd(), 0) }, 0);
    let _first = UnixStream::connect(world.socket()).unwrap();
    let start = Instant::now();
    assert_timed_out(&world.get(GET));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_backlog_that_empties_in_time_does_no_harm() {
    let world = ShimWorld::new();
    let listener = UnixListener::bind(world.socket()).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { listen(listener.as_raw_fd(), 0) }, 0);
    let first = UnixStream::connect(world.socket()).unwrap();
    let child = start(world.shim(HELPER).arg("get"), GET.as_bytes());
    wait_until("a pause", || is_sleeping(&child));
    drop(first);
    let _server = FakeServer::on(listener, |_, stream| write_answer(stream, "molecule/1 ok\nusername=u\n\n"));
    assert_eq!(finish(child), prints("username=u\n"));
}

#[test]
fn a_connection_lost_without_an_answer_is_tried_again() {
    let world = ShimWorld::new();
    let server = FakeServer::on(UnixListener::bind(world.socket()).unwrap(), |number, stream| match number {
        0 => drop(stream),
        1 => write_answer(stream, "molecule/1 ok\nusername=cut"),
        2 => write_answer(stream, "molecule/1 ok\nusername=cut\n"),
        _ => write_answer(stream, "molecule/1 ok\nusername=whole\n\n"),
    });
    assert_eq!(world.get(GET), prints("username=whole\n"));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn an_answer_in_pieces_is_one_answer() {
    let world = ShimWorld::new();
    let _server = FakeServer::on(UnixListener::bind(world.socket()).unwrap(), |_, stream| {
        for piece in "molecule/1 ok\nusername=u\n\n".split_inclusive(|_: char| true) {
            write_answer(stream.try_clone().unwrap(), piece);
        }
    });
    assert_eq!(world.get(GET), prints("username=u\n"));
}

#[test]
fn a_socket_without_a_listener_is_tried_again() {
    let world = ShimWorld::new();
    // A socket file remains after its server ends.
    drop(UnixListener::bind(world.socket()).unwrap());
    let child = start(world.shim(HELPER).arg("get"), GET.as_bytes());
    wait_until("a pause", || is_sleeping(&child));
    let new = world.folder.join("new.sock");
    let listener = UnixListener::bind(&new).unwrap();
    fs::rename(&new, world.socket()).unwrap();
    let _server = FakeServer::on(listener, |_, stream| write_answer(stream, "molecule/1 ok\nusername=u\n\n"));
    assert_eq!(finish(child), prints("username=u\n"));
}

#[test]
fn a_reply_longer_than_the_limit_is_refused() {
    let around = "molecule/1 ok\nusername=\n\n".len();
    for (length, fits) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
        let world = ShimWorld::new();
        let name = "u".repeat(length - around);
        let answer = format!("molecule/1 ok\nusername={name}\n\n");
        let _server =
            FakeServer::on(UnixListener::bind(world.socket()).unwrap(), move |_, stream| write_answer(stream, &answer));
        let expected = if fits { format!("username={name}\n") } else { "quit=1\n".to_owned() };
        let output = world.get(GET);
        assert_eq!((output.out, output.status), (expected, Some(0)), "{length}");
    }
}

#[test]
fn without_the_systems_folder_the_runtime_folder_is_used() {
    if fs::exists("/run/molecule-broker").unwrap() {
        println!("SKIP: /run/molecule-broker exists");
        return;
    }
    let world = ShimWorld::new();
    fs::create_dir(world.folder.join("molecule-broker")).unwrap();
    let listener = UnixListener::bind(world.folder.join("molecule-broker/broker.sock")).unwrap();
    let _server = FakeServer::on(listener, |_, stream| write_answer(stream, "molecule/1 ok\nusername=u\n\n"));
    let mut shim = world.shim(HELPER);
    shim.arg("get").env_remove("MOLECULE_BROKER_SOCKET").env("XDG_RUNTIME_DIR", &world.folder);
    assert_eq!(run(&mut shim, GET.as_bytes()), prints("username=u\n"));
}
