//! F: clients that are silent, slow, hostile or gone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use crate::kit::wire::{self, GET, connect};
use crate::kit::world::FAST;
use crate::kit::{Ability, DaemonWorld, alone, can, wait_for};
use crate::rules::strangers::ask_with_a_lingering_connection;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rule31_five_hundred_silent_connections_block_no_client() {
    let _alone = alone();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(4096)), hard).unwrap();
    let world = DaemonWorld::settled();
    let before = world.descriptors();
    let silent: Vec<(Instant, UnixStream)> =
        (0..500).map(|_| connect(&world.socket())).map(|stream| (Instant::now(), stream)).collect();
    let began = Instant::now();
    assert!(world.get().starts_with("molecule/1 ok\n"));
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    for (opened, mut stream) in silent {
        assert_eq!(wire::rest(&mut stream), "", "a silent client must get no answer");
        assert!(opened.elapsed() < 2 * SECOND, "{:?}", opened.elapsed());
    }
    wait_for("its descriptors", || (world.descriptors() == before).then_some(()));
}

#[test]
fn rule31_one_byte_a_second_meets_the_same_deadline_as_silence() {
    let world = DaemonWorld::settled();
    let mut stream = connect(&world.socket());
    let opened = Instant::now();
    let mut slow = stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        for byte in GET.bytes() {
            if slow.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(SECOND);
        }
    });
    assert_eq!(wire::rest(&mut stream), "");
    assert!(opened.elapsed() < 2 * SECOND, "{:?}", opened.elapsed());
    drop(stream);
    drip.join().unwrap();
}

#[test]
fn rule32_malformed_requests_cost_less_than_a_mebibyte() {
    if !can(&[Ability::LookIntoClosed]) {
        return;
    }
    let _alone = alone();
    let world = DaemonWorld::settled();
    let noise: Vec<u8> = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let line = |bytes: usize| [b"molecule/1 get\nhost=".as_slice(), &vec![b'a'; bytes], b"\n\n"].concat();
    let openings: [(&str, Vec<u8>); 7] = [
        ("a line of 64 KiB", line(64 << 10)),
        ("a line without end", line(4 << 20)),
        ("4 KiB of noise", noise),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a TLS hello", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 512]].concat()),
        ("endless lines", b"molecule/1 get\n".iter().chain(b"a=b\n".iter().cycle().take(1 << 20)).copied().collect()),
        ("another version", b"molecule/2 get\nhost=github.com\nprotocol=https\n\n".to_vec()),
    ];
    let all = || {
        for (what, bytes) in &openings {
            for _ in 0..20 {
                let answer = wire::ask(&world.socket(), bytes);
                assert!(answer.is_empty() || answer.starts_with("molecule/1 malformed\n"), "{what}: {answer}");
            }
        }
    };
    all();
    let (before, descriptors) = (world.memory(), world.descriptors());
    all();
    all();
    let after = world.memory();
    assert!(after < before + (1 << 20), "from {before} to {after} bytes");
    wait_for("its descriptors", || (world.descriptors() == descriptors).then_some(()));
    assert!(world.get().starts_with("molecule/1 ok\n"));
}

/// Measures the memory while five hundred requests are open, and checks that the
/// next five hundred reuse it.
#[test]
fn rule32_unfinished_requests_cost_a_few_pages_each() {
    if !can(&[Ability::LookIntoClosed]) {
        return;
    }
    let _alone = alone();
    let world = DaemonWorld::settled();
    let before = world.memory();
    let half = [b"molecule/1 get\nhost=".as_slice(), &[b'a'; 7000]].concat();
    let descriptors = world.descriptors();
    let cost_of_many = || {
        let open: Vec<UnixStream> = (0..500)
            .map(|_| {
                let mut stream = connect(&world.socket());
                stream.write_all(&half).unwrap();
                stream
            })
            .collect();
        assert!(world.get().starts_with("molecule/1 ok\n"));
        let cost = world.memory().saturating_sub(before);
        drop(open);
        wait_for("its descriptors", || (world.descriptors() == descriptors).then_some(()));
        cost
    };
    let first = cost_of_many();
    // An unoptimised build reserves memory for every step of a task.
    assert!(first < 500 * (48 << 10), "{first} bytes");
    let second = cost_of_many();
    assert!(second < first + first / 10, "{first} and then {second} bytes");
}

#[test]
fn rule36_clients_that_die_at_any_point_leave_nothing_behind() {
    let _alone = alone();
    let world = DaemonWorld::settled();
    let before = world.descriptors();
    for round in 0..300 {
        let mut stream = connect(&world.socket());
        match round % 4 {
            // Dies before a byte, mid-request, before reading, after a part.
            0 => {}
            1 => stream.write_all(&GET.as_bytes()[..20]).unwrap(),
            2 => stream.write_all(GET.as_bytes()).unwrap(),
            _ => {
                stream.write_all(GET.as_bytes()).unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
            }
        }
    }
    assert!(world.get().starts_with("molecule/1 ok\n"), "the daemon must still run: {}", world.log());
    wait_for("its descriptors", || (world.descriptors() == before).then_some(()));
}

#[test]
fn rule36_a_client_that_dies_while_waiting_leaves_nothing() {
    let mut world = DaemonWorld::fast();
    world.config(&format!("{FAST}initial_delay = \"1h\"\n"));
    world.platform.hold();
    world.start();
    let before = world.descriptors();
    for _ in 0..20 {
        connect(&world.socket()).write_all(GET.as_bytes()).unwrap();
    }
    wait_for("the fetch", || (world.platform.count() == 1).then_some(()));
    world.platform.release();
    assert!(world.get().starts_with("molecule/1 ok\n"), "{}", world.log());
    wait_for("its descriptors", || (world.descriptors() <= before).then_some(()));
}

#[test]
fn rule37_a_resumed_daemon_answers_the_clients_that_waited() {
    let world = DaemonWorld::settled();
    world.signal(Signal::SIGSTOP);
    let mut waiting = connect(&world.socket());
    waiting.write_all(GET.as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0]).is_err(), "a stopped daemon must not answer");
    world.signal(Signal::SIGCONT);
    waiting.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(wire::rest(&mut waiting).starts_with("molecule/1 ok\n"));
    assert!(world.get().starts_with("molecule/1 ok\n"));
}

#[test]
fn a_connection_that_lingers_for_an_hour_blocks_no_client() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    if !keeps_descriptors_out() {
        println!("SKIP: this kernel lets descriptors come with any request");
        return;
    }
    let world = DaemonWorld::settled();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // The other user's request is denied unread, and root's request is read.
    for uid in [12345, 0] {
        // The request must be there before the daemon accepts the connection.
        world.signal(Signal::SIGSTOP);
        let sent = ask_with_a_lingering_connection(uid, &world.socket(), &silent);
        world.signal(Signal::SIGCONT);
        assert!(world.get().starts_with("molecule/1 ok\n"));
        assert!(sent.contains("EPERM"), "{sent}");
    }
}

/// Returns whether the kernel can keep descriptors out of a request, which it can
/// since Linux 6.16.
fn keeps_descriptors_out() -> bool {
    let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(16))
}

/// The log's reader may be a stopped terminal or a log driver that hangs.
#[test]
fn a_log_without_a_reader_blocks_no_client() {
    let mut world = DaemonWorld::fast();
    let (mut reader, writer) = std::io::pipe().unwrap();
    fill(&writer);
    world.spawn_into(writer);
    wait_for("the first token", || UnixStream::connect(world.socket()).ok().and_then(|_| world.token()));
    // Each request writes an audit line to that log.
    for _ in 0..1_000 {
        assert!(world.token().is_some());
    }
    // The two lines that count what was lost, and an audit line, in any order.
    let words = ["the log takes lines again", "the audit takes lines again", " AUDIT "];
    let read = std::thread::spawn(move || {
        let (mut said, mut piece) = (String::new(), [0; 65536]);
        while !words.iter().all(|word| said.contains(word)) {
            let got = reader.read(&mut piece).unwrap();
            assert!(got > 0, "the log ended: {}", said.trim_start_matches('x'));
            said.push_str(&String::from_utf8_lossy(&piece[..got]));
        }
    });
    wait_for("the log's line about lost lines", || {
        world.signal(Signal::SIGHUP);
        world.token();
        read.is_finished().then_some(())
    });
    read.join().unwrap();
}

fn fill(pipe: &std::io::PipeWriter) {
    let set = |flags: OFlag| fcntl(pipe, FcntlArg::F_SETFL(flags)).unwrap();
    set(OFlag::O_NONBLOCK);
    while (&mut &*pipe).write(&[b'x'; 4096]).is_ok() {}
    set(OFlag::empty());
}
