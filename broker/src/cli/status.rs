//! `status`: a table for people, JSON for programs, and an exit status for programs that
//! restart containers.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use molecule_protocol::answer::AnswerWord;
use molecule_protocol::request::{Request, Verb};

use super::terminal::Look;
use super::{ExitError, Global, launch, table::table};
use crate::daemon::status::Status;
use crate::system::clock;
use crate::system::exit::{FAILED, NO_ANSWER};

/// Interval between two requests of `--wait`.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// Interval between two requests of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Wait up to this long until the broker is healthy (with --strict: until it serves every credential)
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub wait: Option<Duration>,
    /// Repeat the output every second until interrupted
    #[arg(long, conflicts_with_all = ["json", "wait", "strict", "live"])]
    pub watch: bool,
    /// Exit with 1 unless every configured credential can be served now
    #[arg(long)]
    pub strict: bool,
    /// Exit with 0 whenever a daemon answers, for programs that restart containers
    #[arg(long, conflicts_with = "strict")]
    pub live: bool,
}

/// # Errors
/// Returns status 3 if no broker answers.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    if options.watch {
        return watch(global);
    }
    let until = clock::now().boot + options.wait.unwrap_or_default();
    loop {
        let status = fetch(global);
        let good = status.as_ref().is_ok_and(|(status, _)| is_good(status, options));
        if !good && clock::now().boot < until {
            std::thread::sleep(WAIT_INTERVAL);
            continue;
        }
        let (status, json) = status?;
        let text = if options.json { json + "\n" } else { table(&status, Look::of_stdout()) };
        // The reader may be gone; the exit status is enough.
        let _ = io::stdout().lock().write_all(text.as_bytes());
        return Ok(ExitCode::from(if good { 0 } else { FAILED }));
    }
}

/// Shows the table again and again, until it is interrupted or its reader is gone.
fn watch(global: &Global) -> Result<ExitCode, ExitError> {
    loop {
        let look = Look::of_stdout();
        let text = fetch(global).map_or_else(|error| error.message + "\n", |(status, _)| table(&status, look));
        // On a terminal, each page replaces the previous page.
        let page = if look.is_plain() { text + "\n" } else { format!("\x1b[H\x1b[2J{text}") };
        let mut out = io::stdout().lock();
        if out.write_all(page.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        drop(out);
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn fetch(global: &Global) -> Result<(Status, String), ExitError> {
    let reply = launch::ask(global, &Request::new(Verb::Status), NO_ANSWER)?;
    let answer = reply.answer();
    let line = answer.lines().next().unwrap_or_default();
    match (answer.word, serde_json::from_slice(line)) {
        (AnswerWord::Ok, Ok(status)) => Ok((status, String::from_utf8_lossy(line).into_owned())),
        _ => Err(ExitError::new(
            NO_ANSWER,
            "the daemon's status can't be read: the daemon is of another version than this molecule-broker; restart the container",
        )),
    }
}

/// Tells whether the status is good by these options. With `--wait`, a credential that is still
/// starting isn't good yet.
fn is_good(status: &Status, options: &Options) -> bool {
    if options.live {
        return true;
    }
    let configured = status.credentials.iter().filter(|c| c.state != "unconfigured");
    match (options.strict, options.wait) {
        (true, _) => configured.clone().all(|c| c.serving),
        (false, Some(_)) => status.healthy && configured.clone().all(|c| c.state != "starting"),
        (false, None) => status.healthy,
    }
}
