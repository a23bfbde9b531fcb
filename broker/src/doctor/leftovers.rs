//! Checks for tokens that the old scripts, the provisioner and gh have left. Each is dead or soon
//! will be, and some tool uses it instead of asking the broker.

use std::fs;
use std::path::{Path, PathBuf};

use molecule_protocol::gh::{TOKEN_VARIABLES, is_installation_token};
use molecule_protocol::{digest, encoding};

use super::Scene;
use super::finding::{Finding, Remedy};
use crate::system::bounded_file;
use crate::system::text::{shell_path, shell_word};

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let mut findings = check_variables(scene);
    if let Some(home) = scene.home() {
        findings.extend(check_caches(scene, &home));
        findings.extend(check_gh_login(scene, &home));
    }
    findings
}

fn check_variables(scene: &Scene) -> Vec<Finding> {
    let current: Vec<&String> = scene.credentials().iter().filter_map(|c| c.token_sha256.as_ref()).collect();
    let is_current = |token: &str| {
        let digest = encoding::base64_digest(&digest::sha256(token.as_bytes()));
        current.iter().any(|known| known.as_bytes() == digest)
    };
    let mut findings = Vec::new();
    for name in TOKEN_VARIABLES {
        let value = scene.env.var(name).filter(|value| is_installation_token(value.as_bytes()));
        if value.is_some_and(|value| !is_current(&value)) {
            let what = format!(
                "{name} in this environment holds an installation token that isn't the current one: gh and others use it and fail"
            );
            let remedy =
                Remedy::noted(format!("unset {name}"), "for a command that needs one: molecule-broker exec -- CMD");
            findings.push(Finding::warn("variables", what, remedy));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("variables", "no stale token in this environment"));
    }
    findings
}

fn check_caches(scene: &Scene, home: &Path) -> Vec<Finding> {
    let kept = scene.has_sink("file").then_some(".gh_token");
    let names = [".gh_token", ".molecule-token-cache"].into_iter().filter(|name| Some(*name) != kept);
    let left = names.map(|name| home.join(name)).filter(|file| fs::symlink_metadata(file).is_ok());
    let mut findings: Vec<Finding> = left
        .map(|file| {
            let shown = file.display().to_string();
            let what = format!("{shown} is the token cache of an old script, which no program renews any more");
            let note = "for tools that read ~/.gh_token: MOLECULE_BROKER_SINKS=file";
            Finding::warn("caches", what, Remedy::noted(format!("rm -r {}", shell_path(&file)), note))
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok("caches", "no old token cache"));
    }
    findings
}

/// Checks gh's stored login. The sink keeps it fresh; without the sink it is as old as the last
/// login.
fn check_gh_login(scene: &Scene, home: &Path) -> Option<Finding> {
    if scene.has_sink("gh") {
        return None;
    }
    let folder = scene.env.os("GH_CONFIG_DIR").map(PathBuf::from);
    let folder = folder.or_else(|| scene.env.os("XDG_CONFIG_HOME").map(|dir| Path::new(dir).join("gh")));
    let file = folder.unwrap_or_else(|| home.join(".config/gh")).join("hosts.yml");
    let text = bounded_file::text(&file).ok()?;
    // A host begins at the start of its line; its settings are indented.
    let mut host = "";
    for line in text.lines() {
        if !line.starts_with([' ', '#']) {
            host = line.trim_end().trim_end_matches(':');
        }
        let token = line.trim().strip_prefix("oauth_token:").map(|t| t.trim().trim_matches('"'));
        if token.is_some_and(|token| is_installation_token(token.as_bytes())) && scene.manages(host) {
            let what = format!(
                "gh is logged in to {host} with an installation token ({}), which no program renews",
                file.display()
            );
            let remedy = format!("gh auth logout --hostname {}", shell_word(host));
            return Some(Finding::warn("gh-login", what, Remedy::noted(remedy, "or MOLECULE_BROKER_SINKS=gh")));
        }
    }
    Some(Finding::ok("gh-login", "gh has no stored installation token"))
}
