//! The health of all credentials as a table for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::terminal::{Colour, Look};
use crate::daemon::status::{CredentialStatus, Status};

/// Column in which the values begin.
const COLUMN: usize = 15;

#[must_use]
pub fn table(status: &Status, look: Look) -> String {
    let (colour, health) = if status.healthy { (Colour::Good, "healthy") } else { (Colour::Bad, "UNHEALTHY") };
    let health = look.paint(colour, health);
    let mut out =
        format!("molecule-broker {} (pid {}), up {}: {health}\n", status.version, status.pid, seconds(status.uptime_s));
    if status.restarts > 0 {
        let _ = writeln!(out, "  restarts: {}", status.restarts);
    }
    let _ = writeln!(out, "  sandbox: {}", look.fold(&status.sandbox, 11));
    for credential in &status.credentials {
        describe(&mut out, credential, look);
    }
    out
}

fn describe(out: &mut String, c: &CredentialStatus, look: Look) {
    let _ = writeln!(out, "\n{}: {}", c.name, look.paint(colour(&c.state), &c.state));
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "  {label:<13}{}", look.fold(&value, COLUMN));
    };
    line("source", c.source.clone());
    line("origins", if c.scoped { c.origins.join(", ") } else { open_scope(&c.name) });
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
        line("note", "the platform repeats a cached token until it gets a newer one itself".into());
    }
    if c.suspect {
        line("note", "suspect: a host rejected the token, and its source has no other token".into());
    }
    if let Some(digest) = &c.token_sha256 {
        line("token sha256", format!("{}…", digest.chars().take(12).collect::<String>()));
    }
    line("requests", c.requests.to_string());
}

fn colour(state: &str) -> Colour {
    match state {
        "ok" => Colour::Good,
        "stale" | "starting" | "unconfigured" => Colour::Doubtful,
        _ => Colour::Bad,
    }
}

fn open_scope(name: &str) -> String {
    let remedy = crate::doctor::scope_remedy(name);
    format!("any https origin that no other credential claims (unscoped: {remedy})")
}

fn seconds(n: u64) -> String {
    humantime::format_duration(Duration::from_secs(n)).to_string()
}
