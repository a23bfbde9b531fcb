//! Checks line by line whether an image honours the contract, by running it in
//! the test city.
//!
//! - [`wiring`]: the content of the image, and the environment of a shell that
//!   never saw the entrypoint;
//! - [`life`]: the running image: scope, environment, health, a new token, a
//!   killed daemon;
//! - [`processes`]: the processes in the container and their environments.
//!
//! Each line is a behaviour that the platform, git or gh rely on. For each
//! there is a test that breaks an image in exactly this way.

mod life;
mod processes;
mod wiring;

use std::fmt;
use std::time::Duration;

use crate::docker::{City, Container};
use crate::world::RunResult;

const LIFE: Duration = Duration::from_secs(3600);

/// Result of a check. The error is the reason why it fails.
type Verdict = Result<(), String>;
type Check = fn(&City, &Container) -> Verdict;

/// The lines, in such an order that an earlier failure explains the later ones.
const LINES: [(&str, Check); 19] = [
    ("askpass is there and executable", wiring::askpass),
    ("the helper is on PATH and executable", wiring::helper),
    ("the daemon's file is root's and unreadable", wiring::daemon),
    ("each name answers as its own program", wiring::names),
    ("git is configured for all users", wiring::git),
    ("the old scripts' paths work", wiring::old_scripts),
    ("gh gets a live token", wiring::gh),
    ("shells find no frozen token", wiring::shells),
    ("the broker serves", life::serves),
    ("git works in a shell that never saw the entrypoint", life::git_in_a_shell),
    ("git works in the agent's environment", life::git_of_the_agent),
    ("git works as Gemini CLI starts it", life::git_of_gemini_cli),
    ("git works with a bare environment", life::git_without_an_environment),
    ("the agent's environment has no frozen token", life::frozen),
    ("other hosts get nothing", life::scope),
    ("the health check is green", life::health),
    ("a new token is used at once", life::rotation),
    ("kill -9 of the daemon loses nothing", life::killed),
    ("no token is on disk", life::disk),
];

pub struct ConformanceReport {
    image: String,
    lines: Vec<(&'static str, Verdict)>,
}

/// Runs the image as the provisioner would, and checks every line.
pub fn examine(image: &str) -> ConformanceReport {
    let city = City::new(LIFE);
    let container = Container::start(&city, image, &["--health-interval=1s"], &[]);
    // If the broker isn't ready in this time, the lines below show it.
    container.sh_as_root("molecule-broker status --wait 15s --strict");
    let lines = LINES.iter().map(|(name, check)| (*name, check(&city, &container))).collect();
    ConformanceReport { image: String::from(image), lines }
}

impl ConformanceReport {
    /// Returns the names of the lines that don't hold.
    pub fn failed(&self) -> Vec<&'static str> {
        self.lines.iter().filter(|(_, verdict)| verdict.is_err()).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for ConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, verdict) in &self.lines {
            match verdict {
                Ok(()) => writeln!(f, "ok    {name}")?,
                Err(why) => writeln!(f, "FAIL  {name}: {why}")?,
            }
        }
        let failed = self.failed().len();
        let verdict = if failed == 0 { "honours the contract" } else { "doesn't honour the contract" };
        writeln!(f, "{} {verdict}: {} of {} lines hold", self.image, self.lines.len() - failed, self.lines.len())
    }
}

fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Returns the output of a command for a person to read, without any token.
fn said(city: &City, ran: &RunResult) -> String {
    let words = format!("{}{}", ran.stdout, ran.stderr);
    let mut words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for minted in city.ledger.all() {
        words = words.replace(&minted.token, "(a token)");
    }
    let status = ran.code().map_or_else(|| String::from("killed at its deadline"), |code| format!("status {code}"));
    if words.is_empty() { status } else { format!("{status}, \"{words}\"") }
}
