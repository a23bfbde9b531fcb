//! Checks the program that git asks after all helpers (gitcredentials(7)). The variable
//! `GIT_ASKPASS` takes precedence over git's own key.

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
        return check_empty_variable(scene, entries);
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
    let exists =
        if program.contains('/') { Path::new(&program).exists() } else { !scene.find_on_path(&program).is_empty() };
    if exists {
        return Finding::ok(CHECK, format!("{shown} ({place})"));
    }
    let what = format!("{shown}, which {place} names, isn't there: git can't ask it");
    let shim = scene.find_on_path("git-credential-molecule").into_iter().next();
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

/// Checks an environment in which `GIT_ASKPASS` is set and empty, so that git asks no program at
/// all. Agents set it so. It does no harm if git asks the helper.
fn check_empty_variable(scene: &Scene, entries: &[GitEntry]) -> Finding {
    if helpers::all_ask_ours(scene, entries) {
        return Finding::ok(CHECK, "emptied in this environment (GIT_ASKPASS is set and empty); git asks the helper");
    }
    let what = "emptied in this environment (GIT_ASKPASS is set and empty), so git asks no program for a password";
    Finding::warn(CHECK, what, Remedy::command(format!("export GIT_ASKPASS={}", shell_path(&askpass_path()))))
}
