//! One `get` as a whole process, from before its start until it is reaped: the
//! time that git waits. The standard library starts it by `posix_spawn`, which
//! costs the same for all and doesn't grow with this program.

use std::io::{Read, Write, pipe};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::peers::Peers;
use crate::stats::{at_most, micros, percentile};

/// The input that git ≥ 2.46 sends to its helpers, without `wwwauth[]`.
pub(crate) const STDIN: &[u8] = b"capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\n";
/// An empty program, for comparison. It prints nothing.
const EMPTY: &str = "an empty static program";

pub(crate) fn compare(peers: &Peers, rounds: usize) -> Result<(), String> {
    let ours = peers.world.socket();
    let with = |program: &Path, arguments: &[&Path], socket: &Path| {
        let mut command = molecule_tests::program(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", peers.world.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("MOLECULE_BROKER_SOCKET", socket);
        command
    };
    let get = Path::new("get");
    let shim = peers.world.bin().join("git-credential-molecule");
    let cache = [Path::new("credential-cache"), Path::new("--socket"), &peers.cache.socket, get];
    let bare = &peers.bare.socket;
    let mut contestants = [
        (EMPTY, with(&peers.empty, &[], bare)),
        ("the least possible client, C server", with(&peers.least, &[bare], bare)),
        ("git-credential-molecule get, C server", with(&shim, &[get], bare)),
        ("git-credential-molecule get, molecule-broker", with(&shim, &[get], &ours)),
        ("git credential-cache get, its daemon", with(&peers.git.path, &cache, bare)),
    ];

    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    let mut order: Vec<_> = (0..contestants.len()).collect();
    for round in 0..rounds + rounds / 10 {
        // The second client of a server finds it warm, so the order is random.
        shuffle(&mut order);
        for number in order.iter().copied() {
            let (name, command) = &mut contestants[number];
            let (took, answer) = once(command, STDIN).map_err(|error| format!("{name}: {error}"))?;
            let gives = answer.contains("password=") || answer.contains("credential=");
            if *name != EMPTY && !gives {
                return Err(format!("{name} gives no credential but {answer:?}"));
            }
            // The first rounds only warm the caches.
            if round >= rounds / 10 {
                times[number].push(took);
            }
        }
    }

    println!("One `get` as a whole process, {rounds} rounds, in µs (p50, p99)");
    let mut halves = Vec::new();
    for ((name, _), times) in contestants.iter().zip(&mut times) {
        let half = micros(percentile(times, 0.5));
        println!("  {name:<58} {half:>6.0} {:>6.0}", micros(percentile(times, 0.99)));
        halves.push(half);
    }
    let [empty, least, shim_alone, whole, cache] = halves[..] else { unreachable!("five contestants") };
    at_most("shim with broker / the least possible client", whole / least, 1.25);
    at_most("shim with broker / credential-cache", whole / cache, 0.3);
    println!("  shim with C server / the least possible client {:.2}", shim_alone / least);
    println!("  shim with broker / empty program {:.2}", whole / empty);
    Ok(())
}

pub(crate) fn shuffle(order: &mut [usize]) {
    for last in (1..order.len()).rev() {
        let draw = getrandom::u32().expect("the kernel has random bytes");
        order.swap(last, draw as usize % (last + 1));
    }
}

pub(crate) fn once(command: &mut Command, input: &[u8]) -> std::io::Result<(Duration, String)> {
    let (stdin, mut to_child) = pipe()?;
    to_child.write_all(input)?;
    drop(to_child);
    let (mut from_child, stdout) = pipe()?;
    command.stdin(stdin).stdout(stdout).stderr(Stdio::null());
    let mut answer = String::new();
    let began = Instant::now();
    let mut child = command.spawn()?;
    // The command keeps our end of the pipe open. Without this, reading the
    // answer would never end.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    from_child.read_to_string(&mut answer)?;
    child.wait()?;
    Ok((began.elapsed(), answer))
}
