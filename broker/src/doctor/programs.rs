//! What git and gh will run: the shim under its names, and whether it is of
//! the daemon's version.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Finding, Scene};
use crate::status::Status;

/// What a shim says of itself in its own file.
const MARK: &[u8] = b"molecule-shim/";

/// As far as a file is searched: a shim is under 64 KiB, with all that helps
/// debuggers a few MiB.
const LONGEST: u64 = 8 * 1024 * 1024;

const HELPER: &str = "git-credential-molecule";

pub(super) fn check(scene: &Scene, status: Option<&Status>) -> Vec<Finding> {
    let mut findings = vec![helper(scene)];
    findings.extend(versions(scene, status));
    findings.push(gh(scene));
    findings
}

fn helper(scene: &Scene) -> Finding {
    match scene.on_path(HELPER).first() {
        Some(file) => Finding::ok("helper", format!("{} is on PATH", file.display())),
        None => Finding::fail(
            "helper",
            format!("{HELPER} isn't on PATH, so git can't run it"),
            format!("install the shim as /usr/local/bin/{HELPER}, or put its folder on PATH"),
        ),
    }
}

fn versions(scene: &Scene, status: Option<&Status>) -> Option<Finding> {
    let daemon = &status?.version;
    let file = scene.on_path(HELPER).into_iter().next()?;
    let shim = version(&file).unwrap_or_else(|| "unknown".into());
    let own = env!("CARGO_PKG_VERSION");
    if *daemon == shim && daemon == own {
        return Some(Finding::ok("versions", format!("shim and daemon are both {daemon}")));
    }
    let what = format!("the daemon is {daemon}, molecule-broker is {own}, the shim {} is {shim}", file.display());
    Some(Finding::fail("versions", what, "install both of the same version and restart the daemon"))
}

/// A token for gh comes from the shim before it, or from a sink.
fn gh(scene: &Scene) -> Finding {
    let all = scene.on_path("gh");
    let Some(first) = all.first() else { return Finding::ok("gh", "not installed, nothing to do") };
    if let Some(shim) = all.iter().find(|file| version(file).is_some()) {
        return Finding::ok("gh", format!("{} gets a fresh token for each call", shim.display()));
    }
    if scene.config.as_ref().is_ok_and(|config| config.sinks.gh) {
        return Finding::ok("gh", format!("{} is logged in at each refresh", first.display()));
    }
    Finding::warn(
        "gh",
        format!("{} is run without the shim before it, so no token reaches it", first.display()),
        "ln -s git-credential-molecule /usr/local/bin/gh (in a folder before that on PATH), or MOLECULE_BROKER_SINKS=gh",
    )
}

/// The version of a shim; `None` for any other program.
fn version(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let at = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let length = bytes[at..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    Some(String::from_utf8_lossy(&bytes[at..at + length]).trim_end_matches('.').to_owned())
}
