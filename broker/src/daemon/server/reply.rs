//! A reply to a client, and what the metrics count it as.

use molecule_protocol::answer::Word;

use crate::daemon::answer::{self, Bytes};
use crate::daemon::metrics::Served;

pub struct Reply {
    pub bytes: Bytes,
    pub served: Served,
}

impl Reply {
    #[must_use]
    pub fn ok() -> Self {
        Self { bytes: answer::plain(Word::Ok, None), served: Served::Ok }
    }

    /// A request that was carried out and has more to say than a word.
    #[must_use]
    pub fn with(bytes: Bytes) -> Self {
        Self { bytes, served: Served::Ok }
    }

    #[must_use]
    pub fn silent() -> Self {
        Self { bytes: answer::plain(Word::Silent, None), served: Served::Silent }
    }

    #[must_use]
    pub fn refused(reason: &str) -> Self {
        Self { bytes: answer::plain(Word::Refused, Some(reason)), served: Served::Refused }
    }

    #[must_use]
    pub fn malformed(reason: &str) -> Self {
        Self { bytes: answer::plain(Word::Malformed, Some(reason)), served: Served::Malformed }
    }

    /// For a user that isn't served at all.
    #[must_use]
    pub fn denied() -> Self {
        Self { bytes: answer::plain(Word::Denied, None), served: Served::Denied }
    }
}
