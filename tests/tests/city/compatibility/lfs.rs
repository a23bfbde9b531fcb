//! git-lfs: it asks git for a credential for each of its own requests.

use std::fs;
use std::path::Path;

use molecule_tests::programs::has_git_lfs;
use molecule_tests::world::run;

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{git, version};
use crate::compatibility::scene::{PATIENCE, Scene, WIRED, url};

const ROW: &str = "git-lfs";

#[test]
fn git_lfs_pushes_and_pulls_through_a_rotation() {
    if !has_git_lfs() {
        return Cell::skip(ROW, "–", "it isn't installed");
    }
    let _cell = Cell::new(ROW, version(Path::new("git-lfs"), &["version"]));
    let (scene, git) = (Scene::new(), git());
    for wired in WIRED {
        let repository = format!("acme/{wired:?}.git");
        scene.publish(&git, &repository, &[(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")]);
        let [here, there] = ["here", "there"].map(|name| scene.folder(name));
        let run_in = |folder: &Path, arguments: &[&str]| {
            run(scene.program(wired, &git.path).current_dir(folder).args(arguments), PATIENCE).ok();
        };
        for folder in [&here, &there] {
            run_in(folder, &["clone", "--quiet", &url(&repository), "."]);
            run_in(folder, &["lfs", "install", "--local"]);
        }
        scene.through_a_rotation(|round| {
            let (name, text) = (format!("{round}.bin"), format!("The object of round {round}"));
            fs::write(here.join(&name), &text).unwrap();
            run_in(&here, &["add", "."]);
            run_in(&here, &["commit", "--quiet", "-m", "An object"]);
            run_in(&here, &["push", "--quiet", "origin", "HEAD:main"]);
            run_in(&there, &["pull", "--quiet", "origin", "main"]);
            assert_eq!(fs::read_to_string(there.join(&name)).unwrap(), text);
            let shown = scene.world.host.shown();
            assert!(shown.iter().any(|shown| shown.path.contains("/info/lfs/objects/")), "{shown:?}");
        });
    }
}
