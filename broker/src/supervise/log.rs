//! The supervisor's own few log lines, in the daemon's two formats, without
//! the machinery that the daemon has for it.

use std::sync::OnceLock;

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use crate::config::LogFormat;
use crate::system::{clock, environment};

/// As configured, once that is known; until then the environment decides.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

pub fn format(format: LogFormat) {
    let _ = FORMAT.set(format);
}

pub fn info(message: &str) {
    line("INFO", message);
}

pub fn warn(message: &str) {
    line("WARN", message);
}

fn line(level: &str, message: &str) {
    let named = || LogFormat::named(&environment::text("MOLECULE_BROKER_LOG_FORMAT")?);
    let json = FORMAT.get().copied().or_else(named) == Some(LogFormat::Json);
    let time = time();
    let text = if json {
        let message = serde_json::Value::from(message);
        format!("{{\"timestamp\":\"{time}\",\"level\":\"{level}\",\"message\":{message},\"program\":\"supervise\"}}\n")
    } else {
        format!("{time} {level:>5} supervise: {message}\n")
    };
    // There is nobody to tell that nobody listens.
    let _ = crate::system::log_writer::line(text.as_bytes());
}

fn time() -> String {
    let since_1970 = SignedDuration::try_from(clock::now().wall).unwrap_or(SignedDuration::ZERO);
    let now = Timestamp::from_duration(since_1970).unwrap_or(Timestamp::UNIX_EPOCH);
    DateTimePrinter::new().precision(Some(6)).timestamp_to_string(&now)
}
