//! The options. Without any, the demo is the minute that the README promises;
//! with some of them it is the soak test.

use std::env;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use molecule_tests::or_usage;

const USAGE: &str = "\
usage: cargo demo [-- OPTION…]
  --seconds N   duration of the demo                  (60)
  --life N      seconds that a token lives            (8)
  --clients N   number of agents, each with the next  (2)
                git version of this machine
  --cached      the platform shares one token among all and renews it itself
  --askpass     git uses GIT_ASKPASS instead of the credential helper
  --gh          all agents use gh, each with a dead GH_TOKEN exported
  --calm        no outage, no rejected token";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) life: Duration,
    pub(crate) clients: usize,
    pub(crate) cached: bool,
    pub(crate) askpass: bool,
    pub(crate) gh: bool,
    pub(crate) calm: bool,
}

/// Returns the options of the command line. If they are invalid, the reason has
/// been printed.
pub(crate) fn given() -> Result<Options, ExitCode> {
    or_usage(parse(env::args().skip(1)), "demo", USAGE)
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        length: Duration::from_secs(60),
        life: Duration::from_secs(8),
        clients: 2,
        cached: false,
        askpass: false,
        gh: false,
        calm: false,
    };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--seconds" => options.length = Duration::from_secs(number(&name, arguments.next())?),
            "--life" => options.life = Duration::from_secs(number(&name, arguments.next())?),
            "--clients" => options.clients = number(&name, arguments.next())?,
            "--cached" => options.cached = true,
            "--askpass" => options.askpass = true,
            "--gh" => options.gh = true,
            "--calm" => options.calm = true,
            _ => return Err(format!("the demo has no option {name}")),
        }
    }
    if options.life.is_zero() || options.clients == 0 {
        return Err(String::from("--life and --clients must be at least 1"));
    }
    Ok(options)
}

fn number<N: FromStr>(name: &str, value: Option<String>) -> Result<N, String> {
    value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} needs a number after it"))
}
