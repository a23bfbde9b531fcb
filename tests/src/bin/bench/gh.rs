//! The time that the shim adds to gh: a program that is given its token,
//! compared with the same program behind the shim, which has a dead token and
//! asks our daemon. The judged measurement uses an empty program as gh. gh's
//! own start takes a hundred times longer and varies by more than the limit, so
//! it is only for comparison.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use molecule_tests::programs::gh;
use molecule_tests::proxy::Proxy;

use crate::peers::Peers;
use crate::stats::{at_most, median, micros};
use crate::whole::{STDIN, once, shuffle};

const LIFE: Duration = Duration::from_secs(3600);
/// The first command measures only gh's own start, the second contacts its
/// host.
const COMMANDS: [&[&str]; 2] = [&["config", "get", "git_protocol"], &["api", "user"]];

pub(crate) fn compare(peers: &Peers, rounds: usize, starts: usize) -> Result<(), String> {
    let world = &peers.world;
    let proxy = Proxy::start(world.host.port(), world.host.port());
    println!("\ngh as a whole process, in ms (p50: bare, behind the shim, added)");
    let [bare, shim] = pair(peers, &proxy, "empty", &peers.empty, COMMANDS[1])?;
    let added = measure("an empty program in gh's place", bare, shim, rounds, str::is_empty)?;
    if let Some(real) = gh() {
        for (number, arguments) in COMMANDS.into_iter().enumerate() {
            let [bare, shim] = pair(peers, &proxy, &number.to_string(), &real, arguments)?;
            let is_well = |answer: &str| !answer.is_empty() && !answer.contains("Bad credentials");
            measure(&format!("gh {}", arguments.join(" ")), bare, shim, starts, is_well)?;
        }
    } else {
        println!("  gh isn't installed");
    }
    at_most("ms that the shim adds to gh", added, 1.0);
    match world.host.dead_shown() {
        0 => Ok(()),
        dead => Err(format!("gh showed {dead} dead tokens")),
    }
}

/// Returns a command for the program itself, and one for the shim in its place
/// with the program renamed beside it.
fn pair(peers: &Peers, proxy: &Proxy, name: &str, real: &Path, arguments: &[&str]) -> Result<[Command; 2], String> {
    let world = &peers.world;
    let shim = world.path().join("bench/behind").join(name).join("gh");
    world.link_shim(&shim);
    symlink(real, shim.with_extension("distrib")).map_err(|error| error.to_string())?;
    let with = |program: &Path, token: &str| {
        let mut command = world.command(program);
        command
            .args(arguments)
            .env("SSL_CERT_FILE", world.ca_file())
            .env("HTTPS_PROXY", proxy.url())
            .env("GH_NO_UPDATE_NOTIFIER", "1")
            .env("GH_TOKEN", token);
        command
    };
    Ok([with(real, &world.ledger.mint(LIFE).token), with(&shim, &world.ledger.mint(Duration::ZERO).token)])
}

/// Returns the median of the differences between neighbouring runs.
fn measure(
    name: &str,
    bare: Command,
    shim: Command,
    rounds: usize,
    is_well: impl Fn(&str) -> bool,
) -> Result<f64, String> {
    let mut contestants = [bare, shim];
    let mut times = [Vec::new(), Vec::new()];
    let mut order = [0, 1];
    for round in 0..rounds + rounds / 10 {
        shuffle(&mut order);
        for number in order {
            let (took, answer) = once(&mut contestants[number], STDIN).map_err(|error| format!("{name}: {error}"))?;
            if !is_well(&answer) {
                return Err(format!("{name}: {answer:?}"));
            }
            if round >= rounds / 10 {
                times[number].push(micros(took) / 1000.0);
            }
        }
    }
    let [bare, shim] = times;
    let added = median(bare.iter().zip(&shim).map(|(bare, shim)| shim - bare).collect());
    println!("  {name:<51} {:>6.2} {:>6.2} {added:>6.2}", median(bare), median(shim));
    Ok(added)
}
