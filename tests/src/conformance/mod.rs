//! Whether an image honours the contract, line by line, found out by running
//! it in the test city.
//!
//! - [`wiring`]: what is in the image, and what a shell finds that never saw
//!   the entrypoint;
//! - [`life`]: what it does once it runs: scope, environment, health, a new
//!   token, a killed daemon;
//! - [`processes`]: who runs in the container, with which environment.
//!
//! Each line is a behaviour that the platform, git or gh rely on, and each has
//! a test that breaks an image in just this way.

mod life;
mod processes;
mod wiring;

use std::fmt;
use std::time::Duration;

use crate::docker::{City, Container};
use crate::world::Ran;

const LIFE: Duration = Duration::from_secs(3600);

/// What a check found: nothing to complain of, or what is wrong.
type Verdict = Result<(), String>;
type Check = fn(&City, &Container) -> Verdict;

/// In an order in which what comes first explains what fails later.
const LINES: [(&str, Check); 19] = [
    ("askpass is there and executable", wiring::askpass),
    ("the helper is on PATH and executable", wiring::helper),
    ("the daemon's file is root's and unreadable", wiring::daemon),
    ("each name answers as what it is called", wiring::names),
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

pub struct Report {
    image: String,
    lines: Vec<(&'static str, Verdict)>,
}

/// Runs the image as the provisioner would, and looks.
pub fn examine(image: &str) -> Report {
    let city = City::new(LIFE);
    let container = Container::start(&city, image, &["--health-interval=1s"], &[]);
    // What doesn't get ready in this time shows in the lines below.
    container.sh_as_root("molecule-broker status --wait 15s --strict");
    let lines = LINES.iter().map(|(name, check)| (*name, check(&city, &container))).collect();
    Report { image: String::from(image), lines }
}

impl Report {
    /// The names of the lines that don't hold.
    pub fn failed(&self) -> Vec<&'static str> {
        self.lines.iter().filter(|(_, verdict)| verdict.is_err()).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Report {
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

/// What a command said, for a person: its words, never a token.
fn said(city: &City, ran: &Ran) -> String {
    let words = format!("{}{}", ran.stdout, ran.stderr);
    let mut words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for minted in city.ledger.all() {
        words = words.replace(&minted.token, "(a token)");
    }
    let status = ran.code().map_or_else(|| String::from("no end"), |code| format!("status {code}"));
    if words.is_empty() { status } else { format!("{status}, \"{words}\"") }
}
