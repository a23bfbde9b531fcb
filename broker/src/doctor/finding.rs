//! The result of a check, and its remedy.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::system::text::visible;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub check: &'static str,
    pub level: Level,
    pub what: String,
    /// `None` if all is good.
    pub remedy: Option<Remedy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It works, and could be better or safer.
    Warn,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A command line that a shell can run unchanged, in the environment and folder in which the
    /// fault was found. The note is shown after it as a comment.
    Command { line: String, note: &'static str },
    /// A remedy that isn't a single command.
    Words(String),
}

impl Remedy {
    pub(super) fn command(line: impl Into<String>) -> Self {
        Self::Command { line: visible(&line.into()), note: "" }
    }

    pub(super) fn noted(line: impl Into<String>, note: &'static str) -> Self {
        Self::Command { line: visible(&line.into()), note }
    }
}

impl<T: Into<String>> From<T> for Remedy {
    fn from(words: T) -> Self {
        Self::Words(visible(&words.into()))
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { line, note: "" } => f.write_str(line),
            Self::Command { line, note } => write!(f, "{line}  # {note}"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, what.into(), None)
    }

    pub(super) fn warn(check: &'static str, what: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self::new(check, Level::Warn, what.into(), Some(remedy.into()))
    }

    pub(super) fn fail(check: &'static str, what: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self::new(check, Level::Fail, what.into(), Some(remedy.into()))
    }

    /// Creates a finding. Its paths, URLs and errors come from outside, so control characters are
    /// made visible.
    fn new(check: &'static str, level: Level, what: String, remedy: Option<Remedy>) -> Self {
        Self { check, level, what: visible(&what), remedy }
    }
}

/// In JSON, `remedy` is the text for people, or empty; `command` is the part of it that a shell can
/// run, or null.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let command = match &self.remedy {
            Some(Remedy::Command { line, .. }) => Some(line),
            _ => None,
        };
        let mut finding = serializer.serialize_struct("Finding", 5)?;
        finding.serialize_field("check", self.check)?;
        finding.serialize_field("level", &self.level)?;
        finding.serialize_field("what", &self.what)?;
        finding.serialize_field("remedy", &self.remedy.as_ref().map_or_else(String::new, ToString::to_string))?;
        finding.serialize_field("command", &command)?;
        finding.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_comment_to_the_shell_that_runs_the_remedy() {
        let finding = Finding::warn("variables", "GH_TOKEN is stale", Remedy::noted("unset GH_TOKEN", "or exec"));
        let json = serde_json::to_string(&finding).unwrap();
        let wanted = r#"{"check":"variables","level":"warn","what":"GH_TOKEN is stale","remedy":"unset GH_TOKEN  # or exec","command":"unset GH_TOKEN"}"#;
        assert_eq!(json, wanted);
        let words = Finding::fail("x", "y", "wait");
        assert!(serde_json::to_string(&words).unwrap().ends_with(r#""remedy":"wait","command":null}"#));
    }
}
