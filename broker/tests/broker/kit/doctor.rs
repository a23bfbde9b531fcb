//! A world in which `doctor` finds nothing, and what it finds once there is
//! something.

use std::os::unix::fs::symlink;
use std::process::Output;

use super::{BROKER, DaemonWorld, text};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A world in which all is good.
pub fn healthy() -> DaemonWorld {
    let mut world = DaemonWorld::new();
    // What doctor knows a shim by; that shims carry it is tested with them.
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

/// The line of a fault, which must be there with a remedy.
#[track_caller]
pub fn found(out: &Output, check: &str, named: &str) -> String {
    let all = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{all}");
    let line = fault(&all, check, named).unwrap_or_else(|| panic!("no fault of {check} that names {named:?}:\n{all}"));
    assert!(line.contains("; remedy: "), "{line}");
    line
}

/// The line of a fault, if it is there.
pub fn fault(all: &str, check: &str, named: &str) -> Option<String> {
    let is_it =
        |line: &&str| !line.starts_with("ok") && line.split_whitespace().nth(1) == Some(check) && line.contains(named);
    all.lines().find(is_it).map(str::to_owned)
}

/// The remedy of a line, as it is printed.
#[track_caller]
pub fn remedy(line: &str) -> &str {
    line.split_once("; remedy: ").expect("the line has a remedy").1
}

/// What `doctor` says in the shell that has just run the last of these
/// remedies, and those that helped before: what they did to files lasts, what
/// they did to the environment has to be done again.
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
