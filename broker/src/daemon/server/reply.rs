//! A reply to a client, with the outcome that the metrics count.

use molecule_protocol::answer::AnswerWord;

use crate::daemon::answer::{self, Bytes};
use crate::daemon::metrics::Served;

pub struct Reply {
    pub bytes: Bytes,
    pub served: Served,
}

impl Reply {
    #[must_use]
    pub fn ok() -> Self {
        Self { bytes: answer::plain(AnswerWord::Ok, None), served: Served::Ok }
    }

    /// Returns the reply to a successful request, with content besides the word `ok`.
    #[must_use]
    pub fn with(bytes: Bytes) -> Self {
        Self { bytes, served: Served::Ok }
    }

    #[must_use]
    pub fn silent() -> Self {
        Self { bytes: answer::plain(AnswerWord::Silent, None), served: Served::Silent }
    }

    #[must_use]
    pub fn refused(reason: &str) -> Self {
        Self { bytes: answer::plain(AnswerWord::Refused, Some(reason)), served: Served::Refused }
    }

    #[must_use]
    pub fn malformed(reason: &str) -> Self {
        Self { bytes: answer::plain(AnswerWord::Malformed, Some(reason)), served: Served::Malformed }
    }

    /// Returns the reply for a user that isn't admitted.
    #[must_use]
    pub fn denied() -> Self {
        Self { bytes: answer::plain(AnswerWord::Denied, None), served: Served::Denied }
    }
}
