//! Checks of git's configuration: git must ask our helper first for every host that has a
//! credential, and no URL may bypass the helper.

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

/// Returns the helper's file, if git's configuration has its absolute path.
pub(super) fn configured_helper(git: &GitFiles) -> Option<PathBuf> {
    let helpers = git.entries.iter().rev().filter(|entry| helpers::is_helper(&entry.key));
    helpers.map(|entry| &entry.value).find_map(|value| helpers::path_of_ours(value))
}

/// Returns the command that drops all of git's settings in variables and sets ours again.
fn fresh_variables() -> Remedy {
    Remedy::noted(
        "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS && eval \"$(molecule-broker setup-git --env)\"",
        "drops all other settings in these variables",
    )
}
