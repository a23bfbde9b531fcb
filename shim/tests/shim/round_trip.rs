//! Daemons that are slow, stopped, killed, or not there yet.

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

/// Whether the shim, which has all of its input, sleeps between two attempts.
/// Nothing else of its `/proc` is open to its own user.
fn pauses(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

fn late(said: &Said) {
    assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
    assert!(said.err.contains("in time") && said.err.lines().count() == 1, "{said:?}");
}

#[test]
fn rule37_a_silent_broker_costs_ten_seconds_at_most() {
    let place = SocketPath::new();
    let mut held = Vec::new();
    let _server = Server::on(UnixListener::bind(place.socket()).unwrap(), move |_, stream| held.push(stream));
    let start = Instant::now();
    late(&place.get(GET));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn rule37_a_full_backlog_costs_ten_seconds_at_most() {
    let place = SocketPath::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    // SAFETY: takes two numbers; on a listening socket it sets the backlog.
    assert_eq!(unsafe { listen(listener.as_raw_fd(), 0) }, 0);
    let _first = UnixStream::connect(place.socket()).unwrap();
    let start = Instant::now();
    late(&place.get(GET));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_backlog_that_empties_in_time_is_no_fault() {
    let place = SocketPath::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { listen(listener.as_raw_fd(), 0) }, 0);
    let first = UnixStream::connect(place.socket()).unwrap();
    let child = start(place.shim(HELPER).arg("get"), GET.as_bytes());
    until("a pause", || pauses(&child));
    drop(first);
    let _server = Server::on(listener, |_, stream| give(stream, "molecule/1 ok\nusername=u\n\n"));
    assert_eq!(finish(child), says("username=u\n"));
}

#[test]
fn a_connection_lost_without_an_answer_is_tried_again() {
    let place = SocketPath::new();
    let server = Server::on(UnixListener::bind(place.socket()).unwrap(), |number, stream| match number {
        0 => drop(stream),
        1 => give(stream, "molecule/1 ok\nusername=cut"),
        2 => give(stream, "molecule/1 ok\nusername=cut\n"),
        _ => give(stream, "molecule/1 ok\nusername=whole\n\n"),
    });
    assert_eq!(place.get(GET), says("username=whole\n"));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn an_answer_in_pieces_is_one_answer() {
    let place = SocketPath::new();
    let _server = Server::on(UnixListener::bind(place.socket()).unwrap(), |_, stream| {
        for piece in "molecule/1 ok\nusername=u\n\n".split_inclusive(|_: char| true) {
            give(stream.try_clone().unwrap(), piece);
        }
    });
    assert_eq!(place.get(GET), says("username=u\n"));
}

#[test]
fn a_socket_without_a_listener_is_tried_until_it_has_one() {
    let place = SocketPath::new();
    // A server's socket file outlives it.
    drop(UnixListener::bind(place.socket()).unwrap());
    let child = start(place.shim(HELPER).arg("get"), GET.as_bytes());
    until("a pause", || pauses(&child));
    let new = place.folder.join("new.sock");
    let listener = UnixListener::bind(&new).unwrap();
    fs::rename(&new, place.socket()).unwrap();
    let _server = Server::on(listener, |_, stream| give(stream, "molecule/1 ok\nusername=u\n\n"));
    assert_eq!(finish(child), says("username=u\n"));
}

#[test]
fn what_is_longer_than_any_answer_is_none() {
    let around = "molecule/1 ok\nusername=\n\n".len();
    for (length, fits) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
        let place = SocketPath::new();
        let name = "u".repeat(length - around);
        let answer = format!("molecule/1 ok\nusername={name}\n\n");
        let _server = Server::on(UnixListener::bind(place.socket()).unwrap(), move |_, stream| give(stream, &answer));
        let expected = if fits { format!("username={name}\n") } else { "quit=1\n".to_owned() };
        let said = place.get(GET);
        assert_eq!((said.out, said.status), (expected, Some(0)), "{length}");
    }
}

#[test]
fn the_runtime_folder_is_used_where_the_systems_was_never_made() {
    if fs::exists("/run/molecule-broker").unwrap() {
        println!("SKIP: /run/molecule-broker is there");
        return;
    }
    let place = SocketPath::new();
    fs::create_dir(place.folder.join("molecule-broker")).unwrap();
    let listener = UnixListener::bind(place.folder.join("molecule-broker/broker.sock")).unwrap();
    let _server = Server::on(listener, |_, stream| give(stream, "molecule/1 ok\nusername=u\n\n"));
    let mut shim = place.shim(HELPER);
    shim.arg("get").env_remove("MOLECULE_BROKER_SOCKET").env("XDG_RUNTIME_DIR", &place.folder);
    assert_eq!(run(&mut shim, GET.as_bytes()), says("username=u\n"));
}
