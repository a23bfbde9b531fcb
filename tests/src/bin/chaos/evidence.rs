//! Gathers the evidence for the judge from all records.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use molecule_protocol::digest::sha256;
use molecule_tests::world::World;
use serde_json::Value;

use crate::calendar::Calendar;
use crate::judge::{AuditLine, Evidence, Refusal, Sha256, ShownCredential, TimeLimits, Token};

/// `log` is the daemon's log, as JSON and with its `debug` lines. `unwritten`
/// has the lines that failed writes should have added to its audit log.
pub(crate) fn gather(
    world: &World,
    log: &str,
    unwritten: &[String],
    calendar: &Calendar,
    terms: TimeLimits,
) -> Evidence {
    let audit = world.broker.audit();
    let mut handed: Vec<_> = audit.lines().filter(|line| !line.is_empty()).filter_map(handed).collect();
    handed.extend(unwritten.iter().filter_map(|line| self::handed(line.trim())));
    handed.sort_by_key(|line| line.at);
    let sent: HashMap<_, _> = world
        .platform
        .requests()
        .into_iter()
        .filter(|one| one.good)
        .filter_map(|one| Some((one.token?, one.at)))
        .collect();
    let minted = world.ledger.all().into_iter();
    let tokens = minted.map(|one| {
        let token = Token { expires: one.expires, sent: sent.get(&one.token).copied() };
        (sha256(one.token.as_bytes()), token)
    });
    let shown = world.host.shown().into_iter().map(|one| ShownCredential {
        at: one.at,
        host: one.host,
        token: one.password_sha256,
        state: one.state,
    });
    Evidence {
        tokens: tokens.collect(),
        handed,
        refused: log.lines().filter_map(refused).collect(),
        shown: shown.collect(),
        troubles: calendar.troubles(),
        cut_offs: calendar.cut_offs(),
        pauses: calendar.pauses(),
        jumps: calendar.jumps(),
        terms,
    }
}

/// Parses a line of the audit log. A daemon that was killed, or whose disk was
/// full, may have left a line without its end. The facts are written before the
/// credential is sent; the end contains none.
fn handed(line: &str) -> Option<AuditLine> {
    if !line.starts_with('{') {
        return None;
    }
    let read = serde_json::from_str(line).or_else(|_| serde_json::from_str(&format!("{line}}}")));
    let value: Value = read.unwrap_or_else(|error| panic!("not a line of the audit log: {line}: {error}"));
    let told = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}"));
    Some(AuditLine { at: moment(told("timestamp")), host: host(told("origin")), token: digest(told("token_sha256")) })
}

fn refused(line: &str) -> Option<Refusal> {
    let value: Value = serde_json::from_str(line).ok()?;
    let reason = value["message"].as_str()?.strip_prefix("refused: ")?;
    Some(Refusal {
        at: moment(value["timestamp"].as_str()?),
        host: host(value["origin"].as_str()?),
        reason: String::from(reason),
    })
}

/// Returns the host as in the `Host` header.
fn host(origin: &str) -> String {
    String::from(origin.trim_start_matches("https://"))
}

fn digest(text: &str) -> Sha256 {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    bytes.try_into().unwrap_or_else(|_| panic!("not a SHA-256: {text}"))
}

fn moment(text: &str) -> SystemTime {
    let stamp: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("not a timestamp: {text}: {error}"));
    let since = Duration::try_from(stamp.as_duration()).expect("it is after 1970");
    SystemTime::UNIX_EPOCH + since
}
