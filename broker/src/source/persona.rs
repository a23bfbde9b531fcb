//! The persona credential: a user and a password of long life, set by the
//! image under two pairs of names. Each half falls back on its own.

use std::sync::Arc;

use crate::lease::{Class, Failure, Fresh, Provenance};
use crate::secret::Secret;

pub struct Persona {
    username: Option<Arc<str>>,
    password: Secret,
}

impl Persona {
    #[must_use]
    pub fn new(username: Option<Arc<str>>, password: Secret) -> Self {
        Self { username, password }
    }

    /// Looks the four variables up: `GIT_HTTP_USERNAME` and
    /// `GIT_HTTP_PASSWORD`, then `GITEA_USER` and `GITEA_TOKEN`. An empty one
    /// counts as unset, and without a password there is no persona.
    ///
    /// # Errors
    /// If either half can't stand in a line of git's credential format.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Failure> {
        let first = |names: [&'static str; 2]| {
            let mut values = names.into_iter().map(|name| (name, var(name)));
            values.find_map(|(name, value)| Some((name, value.filter(|v| !v.is_empty())?)))
        };
        let unfit = |name: &str, why: &str| Failure::new(Class::Config, format!("{name} can't be used: {why}"));
        let Some((name, password)) = first(["GIT_HTTP_PASSWORD", "GITEA_TOKEN"]) else {
            return Ok(None);
        };
        let password = Secret::password(&password).map_err(|e| unfit(name, &e.to_string()))?;
        let username = match first(["GIT_HTTP_USERNAME", "GITEA_USER"]) {
            Some((name, user)) if user.len() > 256 || user.chars().any(char::is_control) => {
                return Err(unfit(name, "it holds a control byte or is longer than 256 bytes"));
            }
            user => user.map(|(_, user)| Arc::from(user)),
        };
        Ok(Some(Self { username, password }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn persona(vars: &[(&str, &str)]) -> Result<Option<Persona>, Failure> {
        Persona::from_vars(|name| {
            let found = vars.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_half_falls_back_on_its_own() {
        let fresh = persona(&[
            ("GIT_HTTP_USERNAME", ""),
            ("GITEA_USER", "bot"),
            ("GIT_HTTP_PASSWORD", "pass word ö"),
            ("GITEA_TOKEN", "unused"),
        ])
        .unwrap()
        .unwrap()
        .fetch();
        assert_eq!(fresh.username.as_deref(), Some("bot"));
        assert_eq!(fresh.secret.expose(), "pass word ö");
        assert_eq!(fresh.deadline, None);
    }

    #[test]
    fn a_line_feed_in_either_half_is_refused_without_being_quoted() {
        for vars in [
            [("GITEA_USER", "bot"), ("GITEA_TOKEN", "canary\nhost=evil")],
            [("GITEA_USER", "canary\nhost=evil"), ("GITEA_TOKEN", "x")],
        ] {
            let failure = persona(&vars).err().unwrap();
            assert_eq!(failure.class, Class::Config);
            assert!(!failure.message.contains("canary"), "{failure}");
        }
    }

    #[test]
    fn a_user_without_a_password_is_no_persona() {
        assert!(persona(&[("GITEA_USER", "bot")]).unwrap().is_none());
    }
}
