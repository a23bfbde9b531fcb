//! Where credentials come from.
//!
//! A source does one thing: one [`Source::fetch`], bounded in time, that
//! brings a [`Fresh`] credential or says why not. It doesn't retry, cache,
//! sleep or log, never sees a request, and reads no environment: whoever
//! builds it hands everything over. When to ask again is for others to say.

mod command;
mod env;
mod expiry;
mod file;
mod note;
pub mod persona;
pub mod platform;
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
    /// Asks once. Dropping the future ends whatever it had begun.
    ///
    /// # Errors
    /// The [`Failure`] is fit to be logged and shown as it is.
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

    /// The file whose change is a reason to ask at once, for a [`Watch`].
    #[must_use]
    pub fn watched(&self) -> Option<&Path> {
        match self {
            Self::Platform(platform) => Some(platform.bearer_path()),
            Self::File(file) => Some(file.path()),
            Self::Command(_) => None,
        }
    }
}
