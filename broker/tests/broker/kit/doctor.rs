//! A world in which `doctor` finds no fault, and functions that read the faults
//! that it finds.

use std::os::unix::fs::symlink;
use std::process::Output;

use super::{BROKER, DaemonWorld, text};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns a world without any fault.
pub fn healthy() -> DaemonWorld {
    let mut world = DaemonWorld::new();
    // `doctor` recognises a shim by this text. The shim's own tests check that
    // shims contain it.
    for name in ["git-credential-molecule", "molecule-askpass", "gh"] {
        world.script(&format!("bin/{name}"), &format!("# molecule-shim/{VERSION}"));
    }
    symlink(BROKER, world.path("bin/molecule-broker")).unwrap();
    world.git(&["init", "-q"]);
    assert!(world.broker(&["setup-git", "--system"]).status.success());
    world.start();
    world.broker(&["token"]);
    world
}

pub fn doctor(world: &DaemonWorld) -> Output {
    world.broker(&["doctor"])
}

/// Returns the line of a fault. The line must exist and have a remedy.
#[track_caller]
pub fn found(out: &Output, check: &str, named: &str) -> String {
    let all = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{all}");
    let line = fault(&all, check, named).unwrap_or_else(|| panic!("no fault of {check} that names {named:?}:\n{all}"));
    assert!(line.contains("; remedy: "), "{line}");
    line
}

/// Returns the line of a fault, if there is one.
pub fn fault(all: &str, check: &str, named: &str) -> Option<String> {
    let is_it =
        |line: &&str| !line.starts_with("ok") && line.split_whitespace().nth(1) == Some(check) && line.contains(named);
    all.lines().find(is_it).map(str::to_owned)
}

/// Returns the remedy of a line, as printed.
#[track_caller]
pub fn remedy(line: &str) -> &str {
    line.split_once("; remedy: ").expect("the line has a remedy").1
}

/// Runs `doctor` in the shell that has just run the last of these remedies.
/// Changes to files last, but changes to the environment end with their shell,
/// so the earlier remedies are run again first.
pub fn doctor_after(world: &DaemonWorld, remedies: &[String]) -> Output {
    let (last, before) = remedies.split_last().unwrap();
    let before: String = before.iter().map(|remedy| format!("{{ {remedy}\n}} >/dev/null 2>&1\n")).collect();
    let script = format!("{before}set -e\n{{ {last}\n}} >/dev/null\nexec molecule-broker doctor");
    world.command("/bin/sh").args(["-c", &script]).output().unwrap()
}

#[track_caller]
pub fn all_good(world: &DaemonWorld) {
    is_good(&doctor(world));
}

#[track_caller]
pub fn is_good(out: &Output) {
    let bad: Vec<String> = text(&out.stdout).lines().filter(|l| !l.starts_with("ok")).map(str::to_owned).collect();
    assert!(out.status.success() && bad.is_empty(), "{bad:#?}\n{}", text(&out.stderr));
}
