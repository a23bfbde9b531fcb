//! An error with its remedy, kept apart so that `doctor` can print them apart.

use std::error::Error;
use std::fmt;

/// What happened and where, what to do about it, and the error behind it.
#[derive(Debug)]
pub struct AdviceError {
    pub what: String,
    /// Empty where there is nothing that a person could do.
    pub remedy: String,
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
