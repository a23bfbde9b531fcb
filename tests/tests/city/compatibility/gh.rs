//! Every gh, through the shim in its place, with a dead token in its
//! environment.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use molecule_tests::git_host::APP;
use molecule_tests::programs::{Gh, ghs};
use molecule_tests::world::run;

use crate::compatibility::cell::Cell;
use crate::compatibility::scene::{PATIENCE, Scene, Wired};

const ROW: &str = "gh";

#[test]
fn gh_asks_the_api_through_a_rotation() {
    let ghs = ghs();
    if ghs.is_empty() {
        Cell::skip(ROW, "–", "it isn't installed");
    }
    for gh in ghs {
        let _cell = Cell::new(ROW, &gh.version);
        ask_through_a_rotation(&gh);
    }
}

fn ask_through_a_rotation(gh: &Gh) {
    let scene = Scene::new();
    let dead = scene.world.ledger.mint(Duration::ZERO).token;
    let shim = scene.world.path().join("image/gh");
    scene.world.link_shim(&shim);
    symlink(fs::canonicalize(&gh.path).unwrap(), shim.with_extension("distrib")).unwrap();
    scene.through_a_rotation(|_| {
        let mut command = scene.program(Wired::File, &shim);
        let ran = run(command.args(["api", "user"]).env("GH_TOKEN", &dead), PATIENCE).ok();
        assert!(ran.stdout.contains(APP), "{ran:?}");
    });
}
