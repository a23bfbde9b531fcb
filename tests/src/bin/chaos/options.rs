//! The options of a run.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use molecule_tests::certs::AGENTS;
use molecule_tests::or_usage;

const USAGE: &str = "\
usage: tests/chaos [OPTION...]
  --seed N      repeats the choices of an earlier run  (drawn, and printed)
    --seconds N   duration of the trouble; the last     (60)
                  third is without kills
  --life N      seconds that a token lives             (12)
    --clients N   number of gits that work at once      (3)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) life: Duration,
    pub(crate) clients: usize,
}

/// Returns the options of the command line. If they are invalid, the reason has
/// been printed.
pub(crate) fn given() -> Result<Options, ExitCode> {
    or_usage(parse(env::args().skip(1)), "chaos", USAGE)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let drawn = since_1970.as_micros() as u64 % 1_000_000;
    let mut options =
        Options { seed: drawn, length: Duration::from_secs(60), life: Duration::from_secs(12), clients: 3 };
    while let Some(name) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
            value.ok_or_else(|| format!("{name} needs a number after it"))
        };
        match name.as_str() {
            "--seed" => options.seed = number()?,
            "--seconds" => options.length = Duration::from_secs(number()?),
            "--life" => options.life = Duration::from_secs(number()?),
            "--clients" => options.clients = number()? as usize,
            _ => return Err(format!("there is no option {name}")),
        }
    }
    if options.life < Duration::from_secs(4) || !(1..=AGENTS).contains(&options.clients) {
        return Err(format!("--life must be at least 4, and --clients 1 to {AGENTS}"));
    }
    Ok(options)
}
