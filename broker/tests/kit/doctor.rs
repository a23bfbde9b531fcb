//! A world in which `doctor` finds nothing, and what it finds once there is
//! something.

use std::process::Output;

use super::{World, text};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A world in which all is good.
pub fn healthy() -> World {
    let mut world = World::new();
    // What doctor knows a shim by; that shims carry it is tested with them.
    for name in ["git-credential-molecule", "molecule-askpass", "gh"] {
        world.script(&format!("bin/{name}"), &format!("# molecule-shim/{VERSION}"));
    }
    world.git(&["init", "-q"]);
    assert!(world.broker(&["setup-git", "--system"]).status.success());
    world.start();
    world.broker(&["token"]);
    world
}

pub fn doctor(world: &World) -> Output {
    world.broker(&["doctor"])
}

/// The line of a fault, which must be there with a remedy.
#[track_caller]
pub fn found(out: &Output, check: &str, named: &str) -> String {
    let all = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{all}");
    let bad =
        |line: &&str| !line.starts_with("ok") && line.split_whitespace().nth(1) == Some(check) && line.contains(named);
    let line = all.lines().find(bad).unwrap_or_else(|| panic!("no fault of {check} that names {named:?}:\n{all}"));
    assert!(line.contains("; remedy: "), "{line}");
    line.to_owned()
}

#[track_caller]
pub fn all_good(world: &World) {
    let out = doctor(world);
    let bad: Vec<String> = text(&out.stdout).lines().filter(|l| !l.starts_with("ok")).map(str::to_owned).collect();
    assert!(out.status.success() && bad.is_empty(), "{bad:#?}\n{}", text(&out.stderr));
}
