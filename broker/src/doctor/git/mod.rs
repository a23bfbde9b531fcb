//! git's configuration: whether it asks our helper first for every host that
//! is ours, and whether its URLs go around it.

mod askpass;
mod files;
mod helpers;
mod logins;
mod urls;

use std::path::PathBuf;

use super::Scene;
use super::finding::{Finding, Remedy};
pub(super) use files::{GitFiles, read};

pub(super) fn check(scene: &Scene, git: &GitFiles) -> Vec<Finding> {
    let mut findings: Vec<Finding> = git.broken.iter().cloned().collect();
    if findings.iter().any(|finding| finding.check == "git") {
        return findings;
    }
    findings.extend(helpers::check(scene, &git.entries));
    findings.push(askpass::check(scene, &git.entries));
    findings.extend(logins::check(scene, &git.entries));
    findings
}

/// The helper's file, where git is told it by an absolute path.
pub(super) fn configured_helper(git: &GitFiles) -> Option<PathBuf> {
    let helpers = git.entries.iter().rev().filter(|entry| helpers::is_helper(&entry.key));
    helpers.map(|entry| &entry.value).find_map(|value| helpers::own_path(value))
}

/// Drops all of git's configuration in variables, and sets ours again.
fn fresh_variables() -> Remedy {
    Remedy::noted(
        "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS && eval \"$(molecule-broker setup-git --env)\"",
        "drops what else is set by these variables",
    )
}
