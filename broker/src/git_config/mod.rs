//! The git configuration that makes git use the credential helper, as data.
//!
//! For each origin an empty `helper` comes first, which drops all helpers that were read before,
//! and then ours: git asks the helpers in the order of reading (gitcredentials(7)). git reads
//! variables ([`variables`]) after every file. So no repository's configuration can add another
//! helper, which would see our `get` and `store`.
//!
//! A credential without a scope of its own (the open persona) may be meant for any host, and the
//! user may have chosen helpers for those hosts. So nothing is dropped for them: ours is only
//! added, in the variable, where git asks it last. In a file that is read first, git would ask ours
//! before the user's own, and ours would win. So in files such a credential is left to askpass,
//! which git asks after all helpers: `core.askPass`, unless the user has set it.

pub mod installed;
pub mod variables;

use std::path::Path;

pub use self::variables::GitSetting;
use crate::config::{Config, CredentialScope, OriginPattern};

/// Name of the credential helper's program.
pub const HELPER: &str = "git-credential-molecule";

/// Short name by which git finds that program on `PATH`. An older `setup-git` wrote it.
const HELPER_NAME: &str = "molecule";

/// Name of the old script, under which some images run the helper.
const HELPER_SCRIPT: &str = "molecule-git-token-helper.sh";

/// Name of the program for git's prompts.
pub const ASKPASS: &str = "molecule-askpass";

/// True for every value of `credential.helper` with which git runs our helper.
#[must_use]
pub fn names_helper(value: &str) -> bool {
    let program = first_word(value.trim_start_matches('!').trim_start());
    let is_program = Path::new(&program).file_name().is_some_and(|name| name == HELPER);
    // Some images write it as `!bash PATH get`.
    is_program || program == HELPER_NAME || value.contains(HELPER_SCRIPT)
}

/// True for every value of `core.askPass` with which git runs our askpass.
#[must_use]
pub fn names_askpass(value: &str) -> bool {
    Path::new(value).file_name().is_some_and(|name| name == ASKPASS)
}

/// Returns the first word of a shell's command line, without its quotes.
#[must_use]
pub fn first_word(command: &str) -> String {
    let (mut word, mut quote) = (String::new(), None);
    let mut rest = command.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '\\' if quote != Some('\'') => word.extend(rest.next()),
            _ if c.is_whitespace() && quote.is_none() => break,
            _ => word.push(c),
        }
    }
    word
}

/// The settings that git needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    /// The key `credential.URL.helper` of each origin for which git asks only our helper.
    pub keys: Vec<String>,
    /// True if a credential may be given to any https host.
    pub open: bool,
}

impl Wiring {
    /// Returns the settings for all credentials of a configuration.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        let mut wiring = Self::default();
        for credential in &config.credentials {
            match &credential.scope {
                CredentialScope::Any => wiring.open = true,
                CredentialScope::Patterns(origins) => wiring.add(origins),
            }
        }
        wiring
    }

    /// Returns the settings for these origins and no others.
    #[must_use]
    pub fn from_origins(origins: &[OriginPattern]) -> Self {
        let mut wiring = Self::default();
        wiring.add(origins);
        wiring
    }

    fn add(&mut self, origins: &[OriginPattern]) {
        for key in origins.iter().map(helper_key) {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }

    /// Returns all settings in git's order of reading, for the command scope. `helper` is the value
    /// with which git runs our helper.
    #[must_use]
    pub fn settings(&self, helper: &str) -> Vec<GitSetting> {
        let open = self.open.then(|| GitSetting::new("credential.helper", helper));
        let each = self.keys.iter().flat_map(|key| [GitSetting::new(key, ""), GitSetting::new(key, helper)]);
        open.into_iter().chain(each).collect()
    }
}

/// Returns the key of an origin's helper. git compares scheme, host and port as the broker does,
/// and takes `*` for one label.
fn helper_key(origin: &OriginPattern) -> String {
    let OriginPattern { scheme, wildcard, host, port } = origin;
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("credential.{}://{}{host}{port}.helper", scheme.name(), if *wildcard { "*." } else { "" })
}

#[cfg(test)]
mod tests {
    use molecule_protocol::origin::Pattern;

    use super::*;

    fn wiring(origins: &[&str], open: bool) -> Wiring {
        let own = |text: &&str| Pattern::parse(text).unwrap().map_host(Box::from);
        Wiring { open, ..Wiring::from_origins(&origins.iter().map(own).collect::<Vec<_>>()) }
    }

    #[test]
    fn each_origin_has_an_empty_helper_before_ours() {
        let settings =
            wiring(&["github.com", "https://*.ghe.com:8443", "http://git:3000", "GitHub.com"], false).settings("/h");
        let keys: Vec<_> = settings.iter().map(|s| (s.key.as_str(), s.value.as_deref().unwrap())).collect();
        assert_eq!(
            keys[..4],
            [
                ("credential.https://github.com.helper", ""),
                ("credential.https://github.com.helper", "/h"),
                ("credential.https://*.ghe.com:8443.helper", ""),
                ("credential.https://*.ghe.com:8443.helper", "/h"),
            ]
        );
        assert_eq!(keys[4].0, "credential.http://git:3000.helper");
    }

    #[test]
    fn an_open_persona_adds_a_helper_for_all_hosts_and_drops_none() {
        let settings = wiring(&["github.com"], true).settings("/h");
        assert_eq!(settings[0], GitSetting::new("credential.helper", "/h"));
        assert_eq!(settings[1].value.as_deref(), Some(""), "github.com must drop it, or it would be asked twice");
    }

    #[test]
    fn our_helper_is_known_by_every_name() {
        for value in [
            "molecule",
            "/usr/local/bin/git-credential-molecule",
            r"/opt/my\ dir/git-credential-molecule",
            "!'/opt/my dir/git-credential-molecule'",
            "!/app/scripts/molecule-git-token-helper.sh get",
            "!bash /x/molecule-git-token-helper.sh",
        ] {
            assert!(names_helper(value), "{value}");
        }
        for other in
            ["", "store", "!/usr/bin/gh auth git-credential", "/x/git-credential-store --file molecule", "/x/molecule"]
        {
            assert!(!names_helper(other), "{other}");
        }
    }
}
