//! Sources of credentials.
//!
//! A source does one thing: [`Source::fetch`] returns a [`Fresh`] credential or a [`Failure`],
//! within a time limit. A source doesn't retry, sleep or cache credentials, and it never sees a
//! client's request. It reads no environment: its constructor gets all settings. The refresh
//! decides when to fetch again.
//!
//! | modules | what they do |
//! | --- | --- |
//! | [`platform`] | asks the platform over HTTP: endpoint, bearer, TLS, proxies, answer |
//! | `file`, `command` | read a file; run a program, by the runner where the daemon can't |
//! | `env`, [`persona`] | the token of the container's start; a password that never changes |
//! | `token_text` | a token as a file or a program's output holds it: one line, or JSON |
//! | `expiry` | the formats of an expiry |
//! | `watch` | notices that a file has changed |

mod command;
mod env;
mod expiry;
mod file;
pub mod persona;
pub mod platform;
mod token_text;
mod watch;

use std::path::Path;

pub use command::CommandSource;
pub use env::Env;
pub use file::File;
pub use platform::Platform;
pub use watch::Watch;

use crate::credential::lease::{Failure, Fresh, SourceKind};

pub enum Source {
    Platform(Box<Platform>),
    File(File),
    Command(CommandSource),
}

impl Source {
    /// Fetches a credential once. Dropping the future ends everything that it has started.
    ///
    /// # Errors
    /// Returns a [`Failure`] whose message is safe to log and show.
    pub async fn fetch(&self) -> Result<Fresh, Failure> {
        match self {
            Self::Platform(platform) => platform.fetch().await,
            Self::File(file) => file.fetch(),
            Self::Command(command) => command.fetch().await,
        }
    }

    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Platform(_) => SourceKind::Platform,
            Self::File(_) => SourceKind::File,
            Self::Command(_) => SourceKind::Command,
        }
    }

    /// Returns the file to [`Watch`], whose change is a reason to fetch at once.
    #[must_use]
    pub fn watched(&self) -> Option<&Path> {
        match self {
            Self::Platform(platform) => Some(platform.bearer_path()),
            Self::File(file) => Some(file.path()),
            Self::Command(_) => None,
        }
    }
}
