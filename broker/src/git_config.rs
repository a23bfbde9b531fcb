//! The git configuration that leads git to the helper: what it says, as data.
//!
//! For each origin an empty `helper` comes first, which drops whatever helpers
//! were read before, then ours: git asks the helpers in the order of reading
//! (gitcredentials(7)). As variables (`GIT_CONFIG_COUNT`, git-config(1)) all
//! this is read after every file, so no repository's configuration can put
//! another helper beside ours: that one sees no `get` and no `store`.
//!
//! A credential without a scope of its own (the open persona) may be meant for
//! any host, and those hosts may have helpers of their user's choice: nothing
//! is dropped for them. There ours is only added, and as a variable, where it
//! is asked last. In a file that is read first it would be asked before the
//! user's own and win, so there the credential is left to askpass, which git
//! asks after all helpers: `core.askPass`, unless somebody set that already.

use crate::config::{Config, Origin, Scope};

/// As git finds it on `PATH`: `git-credential-molecule`.
pub const HELPER: &str = "molecule";

/// As git finds it on `PATH`.
pub const ASKPASS: &str = "molecule-askpass";

pub const COUNT: &str = "GIT_CONFIG_COUNT";

/// What git is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    /// The key `credential.URL.helper` of each origin that is ours alone.
    pub keys: Vec<String>,
    /// Whether some credential may be given to any https host.
    pub open: bool,
}

impl Wiring {
    /// Everything that the configuration gives credentials for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut wiring = Self::default();
        for credential in &config.credentials {
            match &credential.scope {
                Scope::Any => wiring.open = true,
                Scope::Patterns(origins) => wiring.add(origins),
            }
        }
        wiring
    }

    /// These origins and no other.
    #[must_use]
    pub fn only(origins: &[Origin]) -> Self {
        let mut wiring = Self::default();
        wiring.add(origins);
        wiring
    }

    fn add(&mut self, origins: &[Origin]) {
        for key in origins.iter().map(key) {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }

    /// All entries in git's order of reading, for the command scope.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, &'static str)> {
        let open = self.open.then(|| ("credential.helper".to_owned(), HELPER));
        let each = self.keys.iter().flat_map(|key| [(key.clone(), ""), (key.clone(), HELPER)]);
        open.into_iter().chain(each).collect()
    }

    /// The same as variables, behind `existing` ones that are there already;
    /// without anybody at a terminal to be asked.
    #[must_use]
    pub fn variables(&self, existing: usize) -> Vec<(String, String)> {
        let entries = self.entries();
        let mut variables = vec![(COUNT.to_owned(), (existing + entries.len()).to_string())];
        for (at, (key, value)) in entries.into_iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{}", existing + at), key));
            variables.push((format!("GIT_CONFIG_VALUE_{}", existing + at), value.to_owned()));
        }
        variables.push(("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()));
        variables
    }

    /// How many entries of the environment to keep before ours: all that
    /// `GIT_CONFIG_COUNT` counts, but not ours if they are the last already.
    #[must_use]
    pub fn existing(&self, variable: impl Fn(&str) -> Option<String>) -> usize {
        let count = variable(COUNT).and_then(|n| n.trim().parse::<usize>().ok()).unwrap_or(0);
        let entries = self.entries();
        let Some(first) = count.checked_sub(entries.len()) else { return count };
        let is_ours = entries.iter().enumerate().all(|(at, (key, value))| {
            variable(&format!("GIT_CONFIG_KEY_{}", first + at)).as_deref() == Some(key)
                && variable(&format!("GIT_CONFIG_VALUE_{}", first + at)).unwrap_or_default() == *value
        });
        if is_ours { first } else { count }
    }
}

/// git compares scheme, host and port as we do, and takes `*` for one label.
fn key(origin: &Origin) -> String {
    let Origin { scheme, wildcard, host, port } = origin;
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("credential.{}://{}{host}{port}.helper", scheme.name(), if *wildcard { "*." } else { "" })
}

#[cfg(test)]
mod tests {
    use molecule_protocol::origin::Pattern;

    use super::*;

    fn wiring(origins: &[&str], open: bool) -> Wiring {
        let own = |text: &&str| {
            let Pattern { scheme, wildcard, host, port } = Pattern::parse(text).unwrap();
            Origin { scheme, wildcard, host: host.into(), port }
        };
        Wiring { open, ..Wiring::only(&origins.iter().map(own).collect::<Vec<_>>()) }
    }

    #[test]
    fn each_origin_has_an_empty_helper_before_ours() {
        let entries =
            wiring(&["github.com", "https://*.ghe.com:8443", "http://git:3000", "GitHub.com"], false).entries();
        let keys: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        assert_eq!(
            keys[..4],
            [
                ("credential.https://github.com.helper", ""),
                ("credential.https://github.com.helper", "molecule"),
                ("credential.https://*.ghe.com:8443.helper", ""),
                ("credential.https://*.ghe.com:8443.helper", "molecule"),
            ]
        );
        assert_eq!(keys[4].0, "credential.http://git:3000.helper");
    }

    #[test]
    fn an_open_persona_adds_a_helper_for_all_hosts_and_drops_none() {
        let entries = wiring(&["github.com"], true).entries();
        assert_eq!(entries[0], ("credential.helper".to_owned(), "molecule"));
        assert!(entries[1].1.is_empty(), "github.com still drops it, or it would be asked twice");
    }

    #[test]
    fn variables_go_behind_those_that_are_there() {
        let variables = wiring(&["github.com"], false).variables(3);
        let pairs: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("GIT_CONFIG_COUNT", "5"),
                ("GIT_CONFIG_KEY_3", "credential.https://github.com.helper"),
                ("GIT_CONFIG_VALUE_3", ""),
                ("GIT_CONFIG_KEY_4", "credential.https://github.com.helper"),
                ("GIT_CONFIG_VALUE_4", "molecule"),
                ("GIT_TERMINAL_PROMPT", "0"),
            ]
        );
    }

    #[test]
    fn variables_that_are_ours_already_are_not_added_again() {
        let wiring = wiring(&["github.com"], true);
        let once = wiring.variables(2);
        let environment = |name: &str| once.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        assert_eq!(wiring.existing(environment), 2);
        assert_eq!(wiring.existing(|name| (name == COUNT).then(|| "7".to_owned())), 7);
        assert_eq!(wiring.existing(|_| None), 0);
    }
}
