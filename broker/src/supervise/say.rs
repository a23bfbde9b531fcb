//! The supervisor's own few log lines, in the daemon's two formats, without
//! the machinery that the daemon has for it.

use std::io::Write;

use crate::environment;

pub fn info(message: &str) {
    line("INFO", message);
}

pub fn warn(message: &str) {
    line("WARN", message);
}

fn line(level: &str, message: &str) {
    let json = environment::os("MOLECULE_BROKER_LOG_FORMAT").is_some_and(|format| format == "json");
    let text = if json {
        let message = serde_json::Value::from(message);
        format!("{{\"level\":\"{level}\",\"message\":{message},\"program\":\"supervise\"}}\n")
    } else {
        format!("molecule-broker supervise: {level} {message}\n")
    };
    // There is nobody to tell that nobody listens.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
