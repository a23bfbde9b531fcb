//! Writes the supervisor's few log lines in the daemon's two formats, without the daemon's logging
//! libraries.

use std::sync::OnceLock;

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use crate::config::LogFormat;
use crate::system::{clock, environment};

/// The configured format, once it is known. Until then the environment decides.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

pub fn set_format(format: LogFormat) {
    let _ = FORMAT.set(format);
}

pub fn info(message: &str) {
    write_line("INFO", message);
}

pub fn warn(message: &str) {
    write_line("WARN", message);
}

fn write_line(level: &str, message: &str) {
    let from_environment = || LogFormat::named(&environment::text("MOLECULE_BROKER_LOG_FORMAT")?);
    let json = FORMAT.get().copied().or_else(from_environment) == Some(LogFormat::Json);
    let time = timestamp();
    let text = if json {
        let message = serde_json::Value::from(message);
        format!("{{\"timestamp\":\"{time}\",\"level\":\"{level}\",\"message\":{message},\"program\":\"supervise\"}}\n")
    } else {
        format!("{time} {level:>5} supervise: {message}\n")
    };
    // A failure to write to the log can't be reported anywhere.
    let _ = crate::system::log_writer::line(text.as_bytes());
}

fn timestamp() -> String {
    let since_1970 = SignedDuration::try_from(clock::now().wall).unwrap_or(SignedDuration::ZERO);
    let now = Timestamp::from_duration(since_1970).unwrap_or(Timestamp::UNIX_EPOCH);
    DateTimePrinter::new().precision(Some(6)).timestamp_to_string(&now)
}
