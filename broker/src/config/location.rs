//! Where a value came from, and what is wrong with it there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value was written. What has no place has its default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigLocation {
    CommandLine(&'static str),
    Environment(&'static str),
    File { file: Arc<Path>, line: usize, column: usize },
}

/// One thing that is wrong with the configuration. Never carries a value that
/// may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: ConfigLocation,
    /// The dotted key, empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what is expected.
    pub what: String,
}

/// All that is wrong, found in one run, in the order of its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl ConfigLocation {
    /// A file as a whole, by its beginning.
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
