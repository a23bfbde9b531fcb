//! How a program of ours ends before its time.

/// What ends a command before its time.
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
