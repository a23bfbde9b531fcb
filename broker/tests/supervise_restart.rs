//! What a daemon's death costs: nothing.

#![allow(clippy::disallowed_methods, reason = "a test has clocks and an environment of its own")]
#![allow(clippy::unwrap_used, reason = "this is all test")]

mod kit;

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use kit::World;
use kit::supervised::{Supervised, wait_long};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

#[test]
fn twenty_kills_with_the_platform_down_lose_no_token_and_ask_for_none() {
    let world = World::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    supervised.daemon();
    let token = world.printed_token().unwrap();
    let minted = world.platform.minted();
    world.platform.fails();
    for _ in 0..20 {
        supervised.replace_daemon();
        assert_eq!(world.printed_token().as_ref(), Some(&token), "{}", world.log());
    }
    assert_eq!(world.platform.minted(), minted);
    let log = world.log();
    assert!(!log.contains("refresh failed"), "the platform wasn't even asked: {log}");
}

#[test]
fn a_request_during_the_restart_waits_and_is_answered() {
    let world = World::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let token = world.printed_token();
    kill(daemon, Signal::SIGSTOP).unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.printed_token());
        kit::wait_for("the request", || waiting_in(&world).then_some(()));
        kill(daemon, Signal::SIGKILL).unwrap();
        assert_eq!(asking.join().unwrap(), token);
    });
}

/// Whether somebody stands in the socket's line (unix(7): a connected peer
/// that wasn't accepted has the listener's path and the state 02).
fn waiting_in(world: &World) -> bool {
    let path = world.path("run/broker.sock").display().to_string();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().filter(|line| line.ends_with(&path)).count() > 1
}

#[test]
fn a_rejection_of_the_frozen_token_outlives_the_daemon() {
    let mut world = World::new();
    world.set("GITHUB_TOKEN", "ghs_frozen");
    world.platform.fails();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    supervised.daemon();
    let Some(token) = kit::wait_for("the fallback, or its age", || Some(world.printed_token())) else {
        println!("SKIP: PID 1 of this machine began more than an hour ago");
        return;
    };
    assert_eq!(token, "ghs_frozen");
    let sha256 = molecule_protocol::digest::sha256(token.as_bytes());
    let hex = String::from_utf8(molecule_protocol::encoding::hex(&sha256).to_vec()).unwrap();
    let request = format!("molecule/1 erase\nclient=helper\nprotocol=https\nhost=github.com\nsha256={hex}\n\n");
    say(&world, &request);
    kit::wait_for("the rejection", || world.printed_token().is_none().then_some(()));
    supervised.replace_daemon();
    assert_eq!(world.printed_token(), None, "{}", world.log());
}

fn say(world: &World, request: &str) {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(world.path("run/broker.sock")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
}

#[test]
fn the_number_of_restarts_reaches_the_daemon() {
    let world = World::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.replace_daemon();
    let words = std::fs::read(format!("/proc/{daemon}/cmdline")).unwrap();
    assert!(kit::text(&words).contains("--restarts\u{0}1\u{0}"), "{}", kit::text(&words));
}

#[test]
fn a_stopped_daemon_is_replaced_within_a_minute_and_keeps_its_token() {
    let world = World::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let token = world.printed_token();
    kill(daemon, Signal::SIGSTOP).unwrap();
    wait_long("another daemon", || (!alive(daemon)).then_some(()));
    assert_ne!(supervised.daemon(), daemon);
    assert_eq!(world.printed_token(), token);
    assert!(world.log().contains("no sign of life"), "{}", world.log());
}

/// What the freezer does, to both processes at once.
#[test]
fn a_container_that_is_paused_for_longer_than_the_watchdogs_period_needs_no_restart() {
    let world = World::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    supervised.signal(Signal::SIGSTOP);
    kill(daemon, Signal::SIGSTOP).unwrap();
    let paused = std::time::Instant::now();
    wait_long("the pause to last", || (paused.elapsed().as_secs() > 65).then_some(()));
    supervised.signal(Signal::SIGCONT);
    kill(daemon, Signal::SIGCONT).unwrap();
    // One whole period in which it could still change its mind.
    let resumed = std::time::Instant::now();
    wait_long("the next period", || (resumed.elapsed().as_secs() > 20).then_some(()));
    assert_eq!(supervised.daemon(), daemon, "{}", world.log());
}

fn alive(pid: nix::unistd::Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Messages of root, who is told apart from the daemon by its pid alone.
#[test]
fn h50_messages_from_anyone_but_the_daemon_are_ignored() {
    let world = World::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let token = world.printed_token();
    let inbox = inbox(&supervised, daemon);
    for sequence in 0..50 {
        forge(&inbox, &format!("FDSTOREREMOVE=1\nFDNAME=lease-{sequence}"), None);
    }
    forge(&inbox, "FDSTORE=1\nFDNAME=lease-999", Some(&foreign_lease()));
    forge(&inbox, "READY=1\nWATCHDOG=1", None);
    world.platform.fails();
    supervised.replace_daemon();
    assert_eq!(world.printed_token(), token, "{}", world.log());
    assert!(!world.log().contains("doesn't verify"), "the foreign one was never handed over: {}", world.log());
}

fn inbox(supervised: &Supervised<'_>, daemon: nix::unistd::Pid) -> UnixDatagram {
    let environment = std::fs::read(format!("/proc/{daemon}/environ")).unwrap();
    let environment = kit::text(&environment);
    let name = environment.split('\0').find_map(|pair| pair.strip_prefix("NOTIFY_SOCKET=@")).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    assert!(alive(supervised.pid()));
    socket
}

fn forge(inbox: &UnixDatagram, message: &str, memory: Option<&std::os::fd::OwnedFd>) {
    let raw = memory.map(|memory| [memory.as_raw_fd()]);
    let rights = raw.as_ref().map(|raw| ControlMessage::ScmRights(raw));
    sendmsg::<()>(inbox.as_raw_fd(), &[IoSlice::new(message.as_bytes())], rights.as_slice(), MsgFlags::empty(), None)
        .unwrap();
}

/// A sealed memory that would verify as the newest of an empty daemon.
fn foreign_lease() -> std::os::fd::OwnedFd {
    use molecule_broker::lease_memory::{Snapshot, format, seal};
    seal(&format::encode(&Snapshot::of(1 << 40, &Default::default(), 0))).unwrap()
}
