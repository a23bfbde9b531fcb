//! The memory of daemon and supervisor together, which must not grow.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use molecule_tests::only_in_full_run;
use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::Supervised;
use molecule_tests::world::{World, WorldSetup};
use molecule_tests::{Ability, can, skip};

/// The machine's trusted certificates, the largest part of the memory that TLS
/// needs.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

const LIMIT_KIB: u64 = 6 * 1024;

/// Rotations after which everything has been used once, and rotations after
/// which a growth would be visible.
const SETTLED: u64 = 10;
const LATER: u64 = 50;

#[test]
fn daemon_and_supervisor_stay_below_six_megabytes_with_tls() {
    if !only_in_full_run("memory over thousands of requests") {
        return;
    }
    let Ok(bundle) = fs::read(BUNDLE) else {
        return skip("memory with a machine's own trust: there are no certificates here");
    };
    if !can(&[Ability::LookIntoClosed]) {
        return;
    }
    let world = World::new(WorldSetup {
        life: Duration::from_secs(2),
        platform_tls: true,
        config_tail: ten_hosts(),
        ..WorldSetup::default()
    });
    OpenOptions::new().append(true).open(world.ca_file()).unwrap().write_all(&bundle).unwrap();
    let supervised = Supervised::start(&world);
    let after = |generation: u64| {
        eventually("the token rotates", Duration::from_secs(150), || {
            world.broker.credential("github")["generation"].as_u64() >= Some(generation)
        });
        supervised.pids().unwrap().map(|pid| Memory::of(pid).unwrap_or_default())
    };
    let settled = after(SETTLED);
    let later = after(LATER);
    println!("supervisor and daemon, in KiB: {settled:?} after {SETTLED} rotations, {later:?} after {LATER}");
    let sum = |both: [Memory; 2], of: fn(Memory) -> u64| both.into_iter().map(of).sum::<u64>();
    let share = sum(later, |memory| memory.share);
    assert!(share <= LIMIT_KIB, "{share} KiB: {later:?}");
    // The program's own pages are shared with other processes that run it. Only
    // the rest can grow.
    let (before, after) = (sum(settled, |memory| memory.own), sum(later, |memory| memory.own));
    assert!(after <= before + before / 10, "it grew from {before} to {after} KiB");
}

/// Memory in KiB, as the kernel counts it (proc_pid_smaps(5)).
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// The proportional share of everything mapped.
    share: u64,
    /// Memory that doesn't belong to a file.
    own: u64,
}

impl Memory {
    fn of(pid: u32) -> Option<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let kib = |key: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self { share: kib("Pss:")?, own: kib("Pss_Anon:")? })
    }
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
