//! The persona credential: a long-lived password, set by the image or in a variable that the
//! configuration names. It never changes while the daemon runs.

use crate::credential::lease::{Fresh, SourceKind};
use crate::credential::secret::Secret;

/// Returns the password as a credential without a deadline.
#[must_use]
pub fn credential(password: Secret) -> Fresh {
    Fresh { username: None, secret: password, deadline: None, source: SourceKind::Persona }
}
