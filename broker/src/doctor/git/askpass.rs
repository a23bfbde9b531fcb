//! The program that git asks after all helpers (gitcredentials(7)): the
//! variable counts before git's own key.

use std::path::Path;

use super::super::Scene;
use super::super::finding::{Finding, Remedy};
use super::files::GitEntry;
use super::helpers;
use crate::git_config::installed::askpass_path;
use crate::system::text::{shell_path, shell_word, untrusted};

const CHECK: &str = "askpass";

pub(super) fn check(scene: &Scene, entries: &[GitEntry]) -> Finding {
    if scene.env.is_emptied("GIT_ASKPASS") {
        return emptied(scene, entries);
    }
    let key = entries
        .iter()
        .rev()
        .find(|entry| entry.key == "core.askpass")
        .map(|entry| (entry.value.clone(), entry.place()));
    let set = scene.env.var("GIT_ASKPASS").map(|path| (path, "GIT_ASKPASS".to_owned())).or(key);
    let Some((program, place)) = set.filter(|(program, _)| !program.is_empty()) else {
        return Finding::ok(CHECK, "not set, git asks the helper");
    };
    let shown = untrusted(&program);
    let there = if program.contains('/') { Path::new(&program).exists() } else { !scene.on_path(&program).is_empty() };
    if there {
        return Finding::ok(CHECK, format!("{shown} ({place})"));
    }
    let what = format!("{shown}, which {place} names, isn't there: git can't ask it");
    let shim = scene.on_path("git-credential-molecule").into_iter().next();
    let remedy = match shim {
        Some(shim) if program.starts_with('/') && shown == program => {
            let folder = Path::new(&program).parent().unwrap_or(Path::new("/"));
            let link = format!("ln -s {} {}", shell_path(&shim), shell_word(&shown));
            Remedy::command(format!("mkdir -p {} && {link}", shell_path(folder)))
        }
        _ => format!("install the shim there: ln -s git-credential-molecule {}", shell_word(&shown)).into(),
    };
    Finding::fail(CHECK, what, remedy)
}

/// Set and empty: git asks no program at all. Agents do so, and it is no loss
/// where git asks the helper.
fn emptied(scene: &Scene, entries: &[GitEntry]) -> Finding {
    if helpers::all_ask_ours(scene, entries) {
        return Finding::ok(CHECK, "emptied in this environment (GIT_ASKPASS is set and empty); git asks the helper");
    }
    let what = "emptied in this environment (GIT_ASKPASS is set and empty), so git asks no program for a password";
    Finding::warn(CHECK, what, Remedy::command(format!("export GIT_ASKPASS={}", shell_path(&askpass_path()))))
}
