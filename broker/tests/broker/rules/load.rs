//! F: many requests at once, too many connections, and repeated rejections.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use molecule_protocol::{digest, encoding};

use crate::kit::platform::{Answer, HOUR};
use crate::kit::wire::{self, GET, connect};
use crate::kit::{DaemonWorld, alone, program, wait_for};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rule33_out_of_descriptors_the_daemon_idles_and_recovers() {
    let _alone = alone();
    let world = DaemonWorld::settled();
    let Some(open) = world.descriptors() else { return };
    let most = open + 3;
    let limit = format!("--nofile={most}:{most}");
    let pid = format!("--pid={}", world.pid());
    assert!(program("prlimit").args([&*limit, &*pid]).status().unwrap().success());
    let crowd: Vec<UnixStream> = (0..100).map(|_| connect(&world.socket())).collect();
    wait_for("the daemon to run out", || world.log().contains("connections can't be accepted").then_some(()));
    let (began, used) = (Instant::now(), world.cpu());
    while began.elapsed() < 4 * SECOND {
        std::thread::sleep(Duration::from_millis(50));
    }
    let used = world.cpu() - used;
    assert!(used < 0.05 * began.elapsed().as_secs_f64(), "{used} s of processor time");
    assert!(world.descriptors() >= Some(most - 1), "the daemon must still be out of descriptors");
    let log = world.log();
    let complaints = log.matches("connections can't be accepted").count();
    assert!(complaints <= 3, "{complaints} lines in the log for one shortage");
    drop(crowd);
    let began = Instant::now();
    assert!(world.get().starts_with("molecule/1 ok\n"));
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}

#[test]
fn rule34_ten_thousand_requests_cost_no_platform_request() {
    let _alone = alone();
    let world = DaemonWorld::settled();
    let (descriptors, asked) = (world.descriptors(), world.platform.count());
    let (socket, left) = (world.socket(), AtomicUsize::new(10_000));
    let slowest = std::thread::scope(|scope| {
        let worker = || {
            let mut slowest = Duration::ZERO;
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                let began = Instant::now();
                let answer = wire::ask(&socket, GET.as_bytes());
                assert!(answer.starts_with("molecule/1 ok\n") && answer.ends_with("\n\n"), "{answer}");
                slowest = slowest.max(began.elapsed());
            }
            slowest
        };
        let workers: Vec<_> = (0..64).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).max().unwrap()
    });
    assert!(slowest < SECOND, "{slowest:?}");
    assert_eq!(world.platform.count(), asked);
    wait_for("its descriptors", || (world.descriptors() == descriptors).then_some(()));
}

/// Acts like git-lfs before 3.6, which rejects every token that it gets.
fn reject_for_ten_seconds(world: &DaemonWorld) {
    let began = Instant::now();
    for n in 0..1000u32 {
        let token = world.token().unwrap_or_else(|| panic!("erase {n}: {}", world.get()));
        let erase = world.ask(&erase_of(&token));
        assert_eq!(erase, "molecule/1 ok\n\n");
        std::thread::sleep((n * Duration::from_millis(10)).saturating_sub(began.elapsed()));
    }
}

pub fn erase_of(token: &str) -> String {
    let hash = encoding::hex(&digest::sha256(token.as_bytes()));
    let hash = std::str::from_utf8(&hash).unwrap();
    format!("molecule/1 erase\nclient=helper\nprotocol=https\nhost=github.com\nsha256={hash}\n\n")
}

/// Starts a daemon with the default numbers apart from an immediate first fetch
/// and `config`, which may set the age from which a token can be rejected.
fn with_default_numbers(config: &str) -> DaemonWorld {
    let mut world = DaemonWorld::fast();
    world.config(&format!("[refresh]\nboot_spread = \"0s\"\n{config}"));
    world.start();
    world
}

#[test]
fn rule35_a_thousand_erases_of_one_token_cause_one_refresh() {
    let world = with_default_numbers("replication_lag = \"0s\"\n");
    world.platform.answer(Answer::Token("ghs_the_only_one".into(), SystemTime::now() + HOUR));
    world.settle();
    let asked = world.platform.count();
    reject_for_ten_seconds(&world);
    assert_eq!(world.platform.count() - asked, 1);
    let credential = world.credential("github");
    assert_eq!((credential["suspect"].as_bool(), credential["state"].as_str()), (Some(true), Some("ok")));
    assert_eq!(world.log().matches("a host rejected the token").count(), 1, "{}", world.log());
}

#[test]
fn rule35_a_thousand_erases_of_new_tokens_cause_one_refresh() {
    let world = with_default_numbers("replication_lag = \"0s\"\n");
    world.settle();
    let asked = world.platform.count();
    reject_for_ten_seconds(&world);
    assert_eq!(world.platform.count() - asked, 1);
}

#[test]
fn rule35_a_rejection_in_the_first_seconds_causes_no_refresh() {
    let world = with_default_numbers("");
    world.settle();
    let (asked, generation) = (world.platform.count(), world.credential("github")["generation"].as_u64());
    for _ in 0..50 {
        let newest = format!("ghs_minted_{}", generation.unwrap());
        world.ask(&erase_of(&newest));
        assert!(world.token().is_some());
    }
    assert_eq!(world.platform.count(), asked);
    assert_eq!(world.log().matches("doesn't know the new token yet").count(), 1, "{}", world.log());
}

#[test]
fn rule34_a_request_in_pieces_is_served_among_others() {
    let world = DaemonWorld::settled();
    let mut pieces = connect(&world.socket());
    for piece in GET.as_bytes().chunks(7) {
        pieces.write_all(piece).unwrap();
        assert!(world.get().starts_with("molecule/1 ok\n"));
    }
    assert!(wire::rest(&mut pieces).starts_with("molecule/1 ok\n"));
}
