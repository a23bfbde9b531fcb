//! Checks the helpers that git asks for an origin, in git's order. The remedy for a wrong list is
//! found by trying: each candidate is applied to the entries that git read, and the first one that
//! makes the list right is the remedy.

use std::path::{Path, PathBuf};

use molecule_protocol::origin::{self, Pattern};
use nix::unistd::{AccessFlags, access};

use super::super::Scene;
use super::super::finding::{Finding, Remedy};
use super::files::{GitEntry, GitScope, printable};
use crate::config::OriginPattern;
use crate::git_config::{first_word, names_helper};
use crate::system::text::shell_word;

const CHECK: &str = "git-helper";

const BY_VARIABLES: &str = "eval \"$(molecule-broker setup-git --env";

pub(super) fn check(scene: &Scene, entries: &[GitEntry]) -> Vec<Finding> {
    scene.origins().iter().map(|origin| check_origin(scene, origin, entries)).collect()
}

/// True if git asks our helper for every origin that has a credential.
pub(super) fn all_ask_ours(scene: &Scene, entries: &[GitEntry]) -> bool {
    let ask_ours = |origin: &OriginPattern| AskedHelpers::for_origin(origin, entries).ours().is_some();
    // Any unclaimed host will do: none of them has a section of its own.
    let other = Pattern::parse("unclaimed.invalid").ok().filter(|_| scene.unscoped().is_some());
    let other = other.map(|pattern| pattern.map_host(Box::from));
    scene.origins().iter().chain(&other).all(ask_ours)
}

/// The helpers that git asks for one origin.
struct AskedHelpers<'e> {
    helpers: Vec<&'e GitEntry>,
    /// The empty entry that drops our helper.
    emptied: Option<&'e GitEntry>,
}

impl<'e> AskedHelpers<'e> {
    fn for_origin(origin: &OriginPattern, entries: impl IntoIterator<Item = &'e GitEntry>) -> Self {
        let mut asked = Self { helpers: Vec::new(), emptied: None };
        for entry in entries.into_iter().filter(|entry| applies(&entry.key, origin)) {
            if entry.value.is_empty() {
                asked.emptied = asked.ours().map(|_| entry).or(asked.emptied);
                asked.helpers.clear();
            } else {
                asked.helpers.push(entry);
            }
        }
        asked
    }

    /// Returns the position of our helper.
    fn ours(&self) -> Option<usize> {
        self.helpers.iter().position(|entry| names_helper(&entry.value))
    }

    fn is_ours_alone(&self) -> bool {
        !self.helpers.is_empty() && self.helpers.iter().all(|entry| names_helper(&entry.value))
    }
}

fn check_origin(scene: &Scene, origin: &OriginPattern, entries: &[GitEntry]) -> Finding {
    let asked = AskedHelpers::for_origin(origin, entries);
    let remedy = || find_remedy(scene, origin, entries);
    let Some(ours) = asked.ours() else {
        let what = match (asked.helpers.first(), asked.emptied) {
            (Some(other), _) => {
                format!("for {origin} git asks {} ({}) and not the broker", describe(other), other.place())
            }
            (None, Some(empty)) => {
                format!("git doesn't ask the broker for {origin}: an empty helper drops ours ({})", empty.place())
            }
            (None, None) => format!("git doesn't ask the broker for {origin}"),
        };
        return Finding::fail(CHECK, what, remedy());
    };
    if let Some(before) = asked.helpers[..ours].last() {
        let what = format!("for {origin} git asks {} first ({})", describe(before), before.place());
        return Finding::fail(CHECK, what, remedy());
    }
    if let Some(after) = asked.helpers[ours + 1..].iter().find(|entry| !names_helper(&entry.value)) {
        let what = format!(
            "for {origin} git also tells {} ({}) of every login, so it may keep the token",
            describe(after),
            after.place()
        );
        return Finding::warn(CHECK, what, remedy());
    }
    Finding::ok(CHECK, format!("for {origin} git asks the broker ({})", asked.helpers[ours].place()))
}

/// Returns the first remedy that works: our entries at the end of the user's own file, the removal
/// of the repository's entries, or both. If none of them works, variables do, which git reads last.
fn find_remedy(scene: &Scene, origin: &OriginPattern, entries: &[GitEntry]) -> Remedy {
    let known = scene.configured_origins().is_some_and(|origins| origins.contains(origin));
    let host = if known { String::new() } else { format!(" --host {}", shell_word(&origin.to_string())) };
    let (setup, global) = (format!("molecule-broker setup-git --global{host}"), has_global_file(scene));
    let is_right = |entries: &[&GitEntry], with_ours: bool| {
        let ours = if with_ours { Some(global_entries(origin)) } else { None };
        let (before, after): (Vec<&GitEntry>, Vec<&GitEntry>) =
            entries.iter().partition(|e| e.scope <= GitScope::Global);
        AskedHelpers::for_origin(origin, before.into_iter().chain(ours.iter().flatten()).chain(after)).is_ours_alone()
    };
    let all: Vec<&GitEntry> = entries.iter().collect();
    if global && is_right(&all, true) {
        return Remedy::command(setup);
    }
    let is_in_the_way =
        |e: &&GitEntry| e.scope == GitScope::Local && applies(&e.key, origin) && !names_helper(&e.value);
    let mut removals: Vec<String> = Vec::new();
    let mut rest = all.clone();
    for entry in all.iter().filter(|e| is_in_the_way(e)) {
        let can_edit = entry.file().is_some_and(|file| can_edit(Path::new(&file)));
        if let Some(removal) = entry.edit_command("--unset-all ", &[]).filter(|_| can_edit) {
            rest.retain(|other| (&other.origin, &other.key) != (&entry.origin, &entry.key));
            if !removals.contains(&removal) {
                removals.push(removal);
            }
        }
    }
    if !removals.is_empty() && is_right(&rest, false) {
        return Remedy::command(removals.join(" && "));
    }
    if global && !removals.is_empty() && is_right(&rest, true) {
        removals.push(setup);
        return Remedy::command(removals.join(" && "));
    }
    Remedy::noted(format!("{BY_VARIABLES}{host})\""), "needed in each shell that supervise didn't start")
}

/// The entries that `setup-git --global` appends to its file.
fn global_entries(origin: &OriginPattern) -> Vec<GitEntry> {
    let entry = |value: &str| GitEntry {
        scope: GitScope::Global,
        origin: String::new(),
        key: format!("credential.{}.helper", url(origin)),
        value: value.to_owned(),
    };
    vec![entry(""), entry("molecule")]
}

fn url(origin: &OriginPattern) -> String {
    let port = origin.port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{}{port}", origin.scheme.name(), if origin.wildcard { "*." } else { "" }, origin.host)
}

/// Returns true if this user has a git configuration file that can be written. A device
/// doesn't count: git would replace `/dev/null`.
fn has_global_file(scene: &Scene) -> bool {
    let named = match scene.env.raw("GIT_CONFIG_GLOBAL") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(PathBuf::from(path)),
        None => scene.home().map(|home| home.join(".gitconfig")),
    };
    named.is_some_and(|path| can_edit(&path))
}

/// Tells whether git can edit this file. git writes another file in the same folder and renames
/// that.
fn can_edit(path: &Path) -> bool {
    let is_file = path.metadata().map_or(true, |there| there.is_file());
    is_file && path.parent().is_some_and(|folder| access(folder, AccessFlags::W_OK).is_ok())
}

pub(super) fn is_helper(key: &str) -> bool {
    key.starts_with("credential.") && key.ends_with("helper")
}

/// Returns true if a key configures helpers for this origin. A path in the key counts as any
/// path.
fn applies(key: &str, origin: &OriginPattern) -> bool {
    let Some(middle) = key.strip_prefix("credential.").and_then(|rest| rest.strip_suffix("helper")) else {
        return false;
    };
    let Some(url) = middle.strip_suffix('.') else { return middle.is_empty() };
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let written = format!("{scheme}://{host}").to_ascii_lowercase();
    let Ok(pattern) = Pattern::parse(&written) else { return false };
    let one = origin::Origin { scheme: origin.scheme, host: &origin.host, port: origin.port };
    if origin.wildcard { pattern.to_string() == origin.to_string() } else { pattern.closeness_to(&one).is_some() }
}

/// Returns the path of our helper, if the value is such a path.
pub(super) fn path_of_ours(value: &str) -> Option<PathBuf> {
    (value.starts_with('/') && names_helper(value)).then(|| PathBuf::from(first_word(value)))
}

/// Describes a helper for people.
fn describe(entry: &GitEntry) -> String {
    let value = printable(&entry.value);
    match entry.value.contains("auth git-credential") {
        true => format!("gh's own helper '{value}', as `gh auth setup-git` writes it,"),
        false => format!("the helper '{value}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> OriginPattern {
        Pattern::parse(text).unwrap().map_host(Box::from)
    }

    #[test]
    fn keys_apply_to_the_hosts_that_git_applies_them_to() {
        for key in [
            "credential.helper",
            "credential.https://github.com.helper",
            "credential.https://u@github.com/a/b.helper",
            "credential.https://*.com.helper",
        ] {
            assert!(applies(key, &origin("github.com")), "{key}");
        }
        for key in [
            "credential.https://gist.github.com.helper",
            "credential.http://github.com.helper",
            "credential.username",
            "xcredential.helper",
        ] {
            assert!(!applies(key, &origin("github.com")), "{key}");
        }
        assert!(applies("credential.https://*.ghe.com.helper", &origin("*.ghe.com")));
    }

    #[test]
    fn an_empty_helper_after_ours_drops_it() {
        let entry = |value: &str| GitEntry {
            scope: GitScope::Command,
            origin: "command line:".into(),
            key: "credential.helper".into(),
            value: value.into(),
        };
        let entries = ["", "molecule", "", "", "store"].map(entry);
        let asked = AskedHelpers::for_origin(&origin("github.com"), &entries[..3]);
        assert!(asked.helpers.is_empty() && asked.emptied == Some(&entries[2]));
        let asked = AskedHelpers::for_origin(&origin("github.com"), &entries);
        assert_eq!((asked.ours(), asked.helpers[0].value.as_str()), (None, "store"));
    }
}
