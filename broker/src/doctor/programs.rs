//! Checks of the programs that git and gh will run: the shim under its names, in the same version
//! as the daemon.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Remedy};
use super::{Scene, can_run, git};
use crate::system::text::shell_path;

/// Text in a shim's file by which it is recognised.
const MARK: &[u8] = b"molecule-shim/";

/// Number of bytes of a file that are searched. A shim has less than 64 KiB, and a few MiB with
/// debugging information.
const MAX_SEARCHED: u64 = 8 * 1024 * 1024;

const HELPER: &str = "git-credential-molecule";

pub(super) fn check(scene: &Scene, git: &git::GitFiles) -> Vec<Finding> {
    let shim = find_shim(scene, git);
    let mut findings = vec![check_helper(shim.as_deref())];
    findings.extend(check_versions(scene, shim.as_deref()));
    findings.push(check_gh(scene, shim.as_deref()));
    findings
}

/// Returns the helper's file. git finds it on `PATH`, or by the configured path.
fn find_shim(scene: &Scene, git: &git::GitFiles) -> Option<PathBuf> {
    let configured = || git::configured_helper(git).filter(|file| can_run(file));
    scene.find_on_path(HELPER).into_iter().next().or_else(configured)
}

fn check_helper(shim: Option<&Path>) -> Finding {
    match shim {
        Some(file) => Finding::ok("helper", format!("{} is there", file.display())),
        None => Finding::fail(
            "helper",
            format!("{HELPER} isn't on PATH, so git can't run it"),
            format!("install the shim as /usr/local/bin/{HELPER}, or put its folder on PATH"),
        ),
    }
}

fn check_versions(scene: &Scene, shim: Option<&Path>) -> Option<Finding> {
    let daemon = &scene.status.as_ref()?.version;
    let file = shim?;
    let shim = shim_version(file).unwrap_or_else(|| "unknown".into());
    let own = env!("CARGO_PKG_VERSION");
    if *daemon == shim && daemon == own {
        return Some(Finding::ok("versions", format!("shim and daemon are both {daemon}")));
    }
    let what = format!("the daemon is {daemon}, molecule-broker is {own}, the shim {} is {shim}", file.display());
    Some(Finding::fail(
        "versions",
        what,
        "install molecule-broker and the shim in the same version, and restart the daemon",
    ))
}

/// Checks that gh gets a token: from the shim before it on `PATH`, or from a sink.
fn check_gh(scene: &Scene, shim: Option<&Path>) -> Finding {
    let all = scene.find_on_path("gh");
    let Some(first) = all.first() else { return Finding::ok("gh", "gh isn't installed, so it needs no token") };
    let is_shim = |file: &&PathBuf| shim_version(file).is_some();
    if is_shim(&first) {
        return Finding::ok("gh", format!("{} gets a fresh token for each call", first.display()));
    }
    if scene.has_sink("gh") {
        return Finding::ok("gh", format!("{} is logged in at each refresh", first.display()));
    }
    if let Some(later) = all.iter().find(is_shim) {
        let what = format!(
            "{} comes before the shim {} on PATH, so it runs without a token",
            first.display(),
            later.display()
        );
        return Finding::warn("gh", what, Remedy::noted(put_first_on_path(later), "and in the shell's profile"));
    }
    let what = format!("{} runs without the shim before it on PATH, so it gets no token", first.display());
    let Some(shim) = shim else {
        return Finding::warn("gh", what, "install the shim, and link it as gh in an earlier folder of PATH");
    };
    let link = shim.with_file_name("gh");
    let mut remedy = format!("ln -s {} {}", shell_path(shim), shell_path(&link));
    if !is_before(scene, &link, first) {
        remedy = format!("{remedy} && {}", put_first_on_path(&link));
    }
    Finding::warn("gh", what, Remedy::noted(remedy, "or MOLECULE_BROKER_SINKS=gh"))
}

/// Returns the command that puts a program's folder first on `PATH`.
fn put_first_on_path(program: &Path) -> String {
    let folder = program.parent().unwrap_or(Path::new("/"));
    format!("export PATH={}:\"$PATH\"", shell_path(folder))
}

/// Tells whether `one` comes before `other` on `PATH`.
fn is_before(scene: &Scene, one: &Path, other: &Path) -> bool {
    let folders: Vec<PathBuf> = scene.env.os("PATH").map(std::env::split_paths).into_iter().flatten().collect();
    let place = |file: &Path| folders.iter().position(|folder| Some(folder.as_path()) == file.parent());
    matches!((place(one), place(other)), (Some(one), Some(other)) if one < other)
}

/// Returns the version of a shim, or `None` for any other program.
fn shim_version(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(MAX_SEARCHED).read_to_end(&mut bytes).ok()?;
    let at = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let length = bytes[at..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    Some(String::from_utf8_lossy(&bytes[at..at + length]).trim_end_matches('.').to_owned())
}
