//! Locations of configured values, and the problems found with them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Location at which a value was written. A value without a location has its default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigLocation {
    CommandLine(&'static str),
    Environment(&'static str),
    File { file: Arc<Path>, line: usize, column: usize },
}

/// One problem with the configuration. It never contains a value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: ConfigLocation,
    /// The dotted key; empty for the file as a whole.
    pub key: String,
    /// The problem, and the value that is expected.
    pub what: String,
}

/// All problems of one run, sorted by location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl ConfigLocation {
    /// Returns the location of a file as a whole, which is its beginning.
    pub(super) fn file(path: &Path) -> Self {
        Self::File { file: path.into(), line: 1, column: 1 }
    }
}

impl fmt::Display for ConfigLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(flag) => write!(f, "command line {flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if matches!(self.place, ConfigLocation::File { .. }) && !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
