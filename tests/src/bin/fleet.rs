//! Prints how evenly a fleet's requests reach its platform over a simulated
//! day: `fleet [CONTAINERS]` (10,000). Exits with 1 if a figure misses its
//! limit.

use std::process::ExitCode;

use molecule_tests::fleet::{Fleet, Upstream};

/// With fewer containers, the busiest minute depends on chance more than on
/// design.
const ENOUGH_TO_JUDGE: u32 = 100_000;

fn main() -> ExitCode {
    let containers = match std::env::args().nth(1).map(|n| n.replace(['_', ','], "").parse()) {
        None => 10_000,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => {
            eprintln!("usage: fleet [CONTAINERS]");
            return ExitCode::from(2);
        }
    };
    println!("{containers} containers started in one minute, 24 h");
    println!(
        "{:<38} {:>12} {:>6} {:>12} {:>10} {:>5}",
        "", "peak to mean", "limit", "requests/day", "no token", "dead"
    );
    let outage = 600..630;
    let minting = Fleet::of(containers, Upstream::MintsPerCall);
    let sharing = Fleet::of(containers, Upstream::SharesOne);
    // All containers that share a token ask in the 165 s between the two leads,
    // once in the 55 min after which the platform renews it. That makes the
    // busiest minute 20 times the mean.
    let shared_limit = 1.25 * 55.0 / 2.75;
    let mut good = true;
    for (name, fleet, limit) in [
        ("minting per call", minting.clone(), 1.2),
        ("minting per call, 30 min of outage", minting.with_outage(outage.clone()), 2.0),
        ("one token shared", sharing.clone(), shared_limit),
        ("one token shared, 30 min of outage", sharing.with_outage(outage), shared_limit),
    ] {
        let report = fleet.run();
        let ratio = report.peak_to_mean(fleet.even_from());
        let (requests, without, dead) =
            (report.requests_per_container_day(), report.share_without(), report.dead_served);
        println!("{name:<38} {ratio:>12.2} {limit:>6.2} {requests:>12.1} {:>9.3}% {dead:>5}", without * 100.0);
        good &= dead == 0 && (without == 0.0 || fleet.outage.is_some());
        good &= ratio <= limit || containers < ENOUGH_TO_JUDGE;
    }
    if containers < ENOUGH_TO_JUDGE {
        println!("SKIP: peak to mean is judged from {ENOUGH_TO_JUDGE} containers on; with fewer it is mostly chance");
    }
    ExitCode::from(u8::from(!good))
}
