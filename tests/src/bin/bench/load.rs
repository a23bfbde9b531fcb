//! Requests per second, with one connection for each request and answer, from
//! 1, 4 and 64 client threads. The servers take turns in short slices, so that
//! other load on the machine affects all of them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::peers::{OURS_REQUEST, Peers};
use crate::stats::{at_least, at_most, median, micros, paired, percentile};

const SLICE: Duration = Duration::from_millis(300);
/// A token has up to 8 KiB.
const LONGEST_ANSWER: usize = 16 * 1024;
const OURS: usize = 0;
const CACHE: usize = 1;
const BARE: usize = 2;

#[derive(Default)]
struct Series {
    rates: Vec<f64>,
    halves: Vec<f64>,
    tails: Vec<f64>,
}

pub(crate) fn compare(peers: &Peers, rounds: usize) -> Result<(), String> {
    let ours = peers.world.socket();
    let servers: [(&str, &Path, &[u8]); 3] = [
        ("molecule-broker, audit line on", &ours, OURS_REQUEST),
        ("git credential-cache--daemon", &peers.cache.socket, peers.cache.request),
        ("bare C server", &peers.bare.socket, peers.bare.request),
    ];
    for clients in [1, 4, 64] {
        let mut series = [Series::default(), Series::default(), Series::default()];
        for round in 0..=rounds {
            for (server, series) in servers.iter().zip(&mut series) {
                let (rate, half, tail) =
                    slice(clients, server.1, server.2).map_err(|error| format!("{}: {error}", server.0))?;
                // The first round only warms up.
                if round > 0 {
                    series.rates.push(rate);
                    series.halves.push(micros(half));
                    series.tails.push(micros(tail));
                }
            }
        }
        println!("\n{clients} client(s), {rounds} rounds of {SLICE:?} (requests/s; p50, p99 in µs)");
        for ((name, ..), one) in servers.iter().zip(&series) {
            let [rate, half, tail] = [&one.rates, &one.halves, &one.tails].map(|values| median(values.clone()));
            println!("  {name:<52} {rate:>8.0} {half:>6.0} {tail:>6.0}");
        }
        let rate = |peer: usize| paired(&series[OURS].rates, &series[peer].rates);
        let tail = paired(&series[OURS].tails, &series[BARE].tails);
        if clients == 4 {
            at_least("requests/s: ours / credential-cache", rate(CACHE), 0.9);
            at_least("requests/s: ours / C server", rate(BARE), 0.8);
        } else {
            println!("  requests/s: ours / credential-cache {:.2}", rate(CACHE));
            println!("  requests/s: ours / C server {:.2}", rate(BARE));
        }
        if clients == 64 {
            at_most("p99: ours / C server", tail, 2.0);
        } else {
            println!("  p99: ours / C server {tail:.2}");
        }
    }
    Ok(())
}

/// Returns the requests per second, the median and the 99th percentile of one
/// slice.
fn slice(clients: usize, socket: &Path, request: &[u8]) -> std::io::Result<(f64, Duration, Duration)> {
    let start = Barrier::new(clients);
    let began = Instant::now();
    let mut times = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    client(socket, request)
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().expect("a client doesn't panic")?);
        }
        Ok::<_, std::io::Error>(all)
    })?;
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    let half = percentile(&mut times, 0.5);
    Ok((rate, half, percentile(&mut times, 0.99)))
}

fn client(socket: &Path, request: &[u8]) -> std::io::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(32 * 1024);
    let mut buffer = [0; LONGEST_ANSWER];
    let end = Instant::now() + SLICE;
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(times);
        }
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(request)?;
        let mut length = 0;
        loop {
            match stream.read(&mut buffer[length..])? {
                0 => break,
                got => length += got,
            }
        }
        times.push(began.elapsed());
        if !buffer[..length].windows(9).any(|window| window == b"password=") {
            return Err(std::io::Error::other("an answer without a password"));
        }
    }
}
