//! The persona credential: a password of long life, set by the image or in a
//! variable that the configuration names. It is all there will ever be of it.

use std::sync::Arc;

use crate::credential::lease::{Fresh, Provenance};
use crate::credential::secret::Secret;

pub struct Persona {
    username: Option<Arc<str>>,
    password: Secret,
}

impl Persona {
    #[must_use]
    pub fn new(username: Option<Arc<str>>, password: Secret) -> Self {
        Self { username, password }
    }

    #[must_use]
    pub fn fetch(&self) -> Fresh {
        Fresh {
            username: self.username.clone(),
            secret: self.password.clone(),
            deadline: None,
            origin: Provenance::Persona,
        }
    }
}
