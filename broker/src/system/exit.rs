//! Exit statuses of this program, and the error that carries one.
//!
//! `docs/operating.md` lists them for operators.

/// The command failed, or a check found a fault.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
pub const BAD_CONFIGURATION: u8 = 2;
/// No daemon answered `status`.
pub const NO_ANSWER: u8 = 3;
/// `supervise` or `exec` failed before the command could be started
/// (docker-run(1), "Exit Status").
pub const COMMAND_NOT_STARTED: u8 = 125;
/// The command was found and can't be run (docker-run(1)).
pub const COMMAND_CANNOT_RUN: u8 = 126;
/// The command wasn't found (docker-run(1)).
pub const COMMAND_NOT_FOUND: u8 = 127;

/// Error that ends this process: the text for stderr and the exit status.
#[derive(Debug)]
pub struct ExitError {
    pub message: String,
    pub status: u8,
}

impl ExitError {
    pub fn new(status: u8, message: impl ToString) -> Self {
        Self { message: message.to_string(), status }
    }
}

impl std::fmt::Display for ExitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExitError {}
