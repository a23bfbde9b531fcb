//! `status`: the table for people, the JSON for programs, and the exit status
//! for whoever restarts containers.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use molecule_protocol::answer::Word;
use molecule_protocol::request::{Request, Verb};

use super::{Fault, Global, launch};
use crate::clock;
use crate::status::{Credential, Status};

const UNHEALTHY: u8 = 1;
const NO_ANSWER: u8 = 3;

/// How often `--wait` looks.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Wait up to this long for it to be healthy (with --strict: for every credential to be served)
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub wait: Option<Duration>,
    /// Exit with 1 unless every configured credential can be served now
    #[arg(long)]
    pub strict: bool,
}

/// # Errors
/// Status 3 where no broker answers.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, Fault> {
    let until = clock::now().boot + options.wait.unwrap_or_default();
    loop {
        let status = fetch(global);
        let good = status.as_ref().is_ok_and(|(status, _)| is_good(status, options));
        if !good && clock::now().boot < until {
            std::thread::sleep(PERIOD);
            continue;
        }
        let (status, json) = status?;
        let text = if options.json { json + "\n" } else { table(&status) };
        print!("{text}");
        return Ok(ExitCode::from(if good { 0 } else { UNHEALTHY }));
    }
}

fn fetch(global: &Global) -> Result<(Status, String), Fault> {
    let reply = launch::ask(global, &Request::new(Verb::Status), NO_ANSWER)?;
    let answer = reply.answer();
    let line = answer.lines().next().unwrap_or_default();
    match (answer.word, serde_json::from_slice(line)) {
        (Word::Ok, Ok(status)) => Ok((status, String::from_utf8_lossy(line).into_owned())),
        _ => Err(Fault::new(
            NO_ANSWER,
            "the broker's status can't be read; install broker and daemon of the same version",
        )),
    }
}

/// With `--wait`, a credential that is still starting is worth waiting for.
fn is_good(status: &Status, options: &Options) -> bool {
    let configured = status.credentials.iter().filter(|c| c.state != "unconfigured");
    match (options.strict, options.wait) {
        (true, _) => configured.clone().all(|c| c.serving),
        (false, Some(_)) => status.healthy && configured.clone().all(|c| c.state != "starting"),
        (false, None) => status.healthy,
    }
}

fn table(status: &Status) -> String {
    let health = if status.healthy { "healthy" } else { "UNHEALTHY" };
    let mut out =
        format!("molecule-broker {} (pid {}), up {}: {health}\n", status.version, status.pid, seconds(status.uptime_s));
    let _ = writeln!(out, "  sandbox: {}", status.sandbox);
    for credential in &status.credentials {
        describe(&mut out, credential);
    }
    out
}

fn describe(out: &mut String, c: &Credential) {
    let _ = writeln!(out, "\n{}: {}", c.name, c.state);
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "  {label:<13}{value}");
    };
    line("source", c.source.clone());
    line("origins", if c.scoped { c.origins.join(", ") } else { open_scope() });
    if c.serving {
        line("expires in", c.expires_in_s.map_or_else(|| "no expiry known".into(), seconds));
        line("generation", c.generation.to_string());
    }
    if let Some(next) = c.next_refresh_in_s {
        line("next refresh", format!("in {}", seconds(next)));
    }
    if let Some(ago) = c.last_success_ago_s {
        line("last success", format!("{} ago", seconds(ago)));
    }
    if let Some(error) = &c.last_error {
        line("last error", format!("{} ago, {}: {}", seconds(error.ago_s), error.class, error.message));
    }
    if c.consecutive_failures > 0 {
        line("failures", format!("{} in a row", c.consecutive_failures));
    }
    if c.upstream_cached {
        line("note", "the platform repeats a cached token; a newer one comes when it renews its own".into());
    }
    if c.suspect {
        line("note", "suspect: a host rejected it, and its source has no other".into());
    }
    if let Some(digest) = &c.token_sha256 {
        line("token sha256", format!("{}…", digest.chars().take(12).collect::<String>()));
    }
    line("requests", c.requests.to_string());
}

fn open_scope() -> String {
    "any https origin that no other credential claims (unscoped: set MOLECULE_BROKER_PERSONA_HOSTS)".into()
}

fn seconds(n: u64) -> String {
    humantime::format_duration(Duration::from_secs(n)).to_string()
}
