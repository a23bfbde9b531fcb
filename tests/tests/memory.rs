//! What daemon and supervisor cost together, and that it doesn't grow.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use molecule_tests::skip;
use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::Supervised;
use molecule_tests::world::{Setup, World};

/// What a machine trusts: the largest thing that TLS brings along.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

const LIMIT_KIB: u64 = 6 * 1024;

/// Rotations after which everything has been used once, and after which there
/// was time to grow.
const SETTLED: u64 = 10;
const LATER: u64 = 50;

#[test]
fn daemon_and_supervisor_stay_within_six_megabytes_over_fifty_rotations_with_tls() {
    let Ok(bundle) = fs::read(BUNDLE) else {
        return skip("memory with a machine's own trust: it has no certificates");
    };
    let world = World::new(Setup {
        life: Duration::from_secs(2),
        platform_tls: true,
        config_tail: ten_hosts(),
        ..Setup::default()
    });
    OpenOptions::new().append(true).open(world.ca_file()).unwrap().write_all(&bundle).unwrap();
    let supervised = Supervised::start(&world);
    let pss_after = |generation: u64| {
        eventually("the token rotates", Duration::from_secs(150), || {
            world.broker.credential("github")["generation"].as_u64() >= Some(generation)
        });
        let both = supervised.both().unwrap();
        both.map(|pid| pss_kib(pid).unwrap_or(0))
    };
    let settled = pss_after(SETTLED);
    if settled.contains(&0) {
        return skip("memory of processes that can't be looked into: needs root");
    }
    let later = pss_after(LATER);
    println!("PSS of supervisor and daemon in KiB: {settled:?} after {SETTLED} rotations, {later:?} after {LATER}");
    let sum = |pss: [u64; 2]| pss.iter().sum::<u64>();
    assert!(sum(later) <= LIMIT_KIB, "{later:?} KiB");
    assert!(sum(later) <= sum(settled) + sum(settled) / 20, "it grew from {settled:?} to {later:?} KiB");
}

/// Nine more credentials, each with its host.
fn ten_hosts() -> String {
    let password = "source = { variable = \"HOME\" }";
    let one = |n| {
        format!(
            "[[credential]]\nname = \"host{n}\"\norigins = [\"git{n}.example.com\"]\nusername = \"bot\"\n{password}\n"
        )
    };
    std::iter::once(String::from("\n")).chain((1..10).map(one)).collect()
}

fn pss_kib(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
