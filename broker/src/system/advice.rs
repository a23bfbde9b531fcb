//! An error with its remedy in a separate field, so that `doctor` can print the two separately.

use std::error::Error;
use std::fmt;

/// Error with advice on what to do about it.
#[derive(Debug)]
pub struct AdviceError {
    /// Says what happened, and where.
    pub what: String,
    /// Says what to do. Empty if a person can do nothing about it.
    pub remedy: String,
    /// The error of the system call or library that failed.
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl AdviceError {
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), source: None }
    }

    /// Adds the error of the system call or library that failed.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for AdviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl Error for AdviceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_printed_with_its_remedy_and_names_its_source() {
        let error = AdviceError::new("x can't be read", "chmod a+r x").caused_by(std::io::Error::other("EIO"));
        assert_eq!(error.to_string(), "x can't be read; chmod a+r x");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("EIO"));
        assert_eq!(AdviceError::new("x is gone", "").to_string(), "x is gone");
    }
}
