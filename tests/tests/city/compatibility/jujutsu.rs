//! jj, which starts the git on `PATH`.

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{find, git, version};
use crate::compatibility::scene::{Scene, WIRED, url};

const ROW: &str = "jj";

#[test]
fn jj_clones_through_a_rotation() {
    let Some(jj) = find(ROW) else { return Cell::skip(ROW, "–", "only Debian sid has it") };
    let _cell = Cell::new(ROW, version(&jj, &["--version"]));
    let scene = Scene::new();
    scene.publish(&git(), "acme/app.git", &[("README", "An app.\n")]);
    for wired in WIRED {
        scene.program_through_a_rotation(wired, &jj, |command, _| {
            command.args(["git", "clone", &url("acme/app.git"), "clone"]);
        });
    }
}
