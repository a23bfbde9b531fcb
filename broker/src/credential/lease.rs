//! Leases, which are credentials with an expiry, and the results of a fetch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::credential::secret::Secret;
use crate::system::time::{Deadline, Moment};

/// Longest life of an installation token ("Generating an installation
/// access token for a GitHub App", GitHub docs: "expires after 1 hour").
pub const GITHUB_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// One credential as its source gave it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// `None` if the user name from the configuration applies.
    pub username: Option<Arc<str>>,
    pub secret: Arc<Secret>,
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// `None` if the source knows no expiry.
    pub deadline: Option<Deadline>,
    /// Number of this secret among the different secrets of its credential, counted from 1.
    pub generation: u64,
    pub received: Moment,
    pub source: SourceKind,
}

/// Kind of the source that a lease came from, as `status` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Platform,
    Env,
    Persona,
    File,
    Command,
}

/// Token that a fetch brought.
#[derive(Clone, Debug)]
pub struct Fresh {
    pub username: Option<Arc<str>>,
    pub secret: Secret,
    /// The expiry: on the boot-time clock as the source measured the remaining life, and on the
    /// wall clock as the instant that was written down with the token. `None` if no expiry is
    /// known.
    pub deadline: Option<Deadline>,
    pub source: SourceKind,
}

/// Reason why a fetch brought no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: Class,
    /// Text for people. It is already escaped, cut and free of secrets.
    pub message: String,
    /// Time for which the source asked to be left alone (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// Class of a failure, as `status`, the log and the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Connect,
    Timeout,
    Tls,
    Http401,
    Http403,
    Http404,
    Http429,
    Http5xx,
    HttpOther,
    Body,
    Expired,
    Config,
}

impl Class {
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Timeout,
        Self::Tls,
        Self::Http401,
        Self::Http403,
        Self::Http404,
        Self::Http429,
        Self::Http5xx,
        Self::HttpOther,
        Self::Body,
        Self::Expired,
        Self::Config,
    ];

    /// Returns the class with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl Lease {
    /// Returns the life left at `now`: zero after the expiry, `None` if no expiry is known.
    #[must_use]
    pub fn left(&self, now: Moment) -> Option<Duration> {
        self.deadline.map(|d| d.left(now))
    }

    /// Returns the life that was left when the lease was received.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        self.left(self.received)
    }

    #[must_use]
    pub fn is_live(&self, now: Moment) -> bool {
        self.left(now).is_none_or(|left| !left.is_zero())
    }
}

impl Failure {
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None }
    }
}

impl SourceKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Env => "env",
            Self::Persona => "persona",
            Self::File => "file",
            Self::Command => "command",
        }
    }
}

impl Class {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Http401 => "http_401",
            Self::Http403 => "http_403",
            Self::Http404 => "http_404",
            Self::Http429 => "http_429",
            Self::Http5xx => "http_5xx",
            Self::HttpOther => "http_other",
            Self::Body => "body",
            Self::Expired => "expired",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.name(), self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_by_its_name() {
        for class in Class::ALL {
            assert_eq!(Class::named(class.name()), Some(class));
        }
        assert_eq!(Class::named("http_418"), None);
    }

    #[test]
    fn sources_have_the_names_that_status_shows() {
        use SourceKind::{Command, Env, File, Persona, Platform};
        let names = [Platform, Env, Persona, File, Command].map(SourceKind::name);
        assert_eq!(names, ["platform", "env", "persona", "file", "command"]);
    }

    #[test]
    fn a_failure_says_its_class_and_what_happened() {
        assert_eq!(Failure::new(Class::Http5xx, "status 503").to_string(), "http_5xx: status 503");
    }
}
