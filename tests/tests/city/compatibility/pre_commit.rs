//! pre-commit, which removes most of git's variables from the environment of
//! the git that it starts. `GIT_ASKPASS` stays.

use std::fs;

use molecule_tests::world::run;

use crate::compatibility::cell::Cell;
use crate::compatibility::program::{find, git, version};
use crate::compatibility::scene::{PATIENCE, Scene, Wired, url};

const ROW: &str = "pre-commit";
const HOOK: &str = "- id: nothing\n  name: nothing\n  entry: 'true'\n  language: system\n";

#[test]
fn pre_commit_fetches_its_hooks_through_a_rotation() {
    let Some(pre_commit) = find(ROW) else { return Cell::skip(ROW, "–", "it can't be fetched from PyPI here") };
    let _cell = Cell::new(ROW, version(&pre_commit, &["--version"]));
    let (scene, git) = (Scene::new(), git());
    scene.publish(&git, "acme/hooks.git", &[(".pre-commit-hooks.yaml", HOOK)]);
    let hooks = url("acme/hooks.git");
    let config = format!("repos:\n- repo: {hooks}\n  rev: v0.1.0\n  hooks:\n  - id: nothing\n");
    for wired in [Wired::File, Wired::Askpass] {
        scene.through_a_rotation(|_| {
            let folder = scene.folder("app");
            fs::write(folder.join(".pre-commit-config.yaml"), &config).unwrap();
            let run_in = |program, arguments: &[&str]| {
                let mut command = scene.program(wired, program);
                command.current_dir(&folder).env("PRE_COMMIT_HOME", folder.join("cache")).args(arguments);
                let ran = run(&mut command, PATIENCE);
                assert!(ran.success(), "{wired:?} {arguments:?}: {ran:?}");
            };
            run_in(&git.path, &["init", "--quiet", "."]);
            run_in(&git.path, &["add", ".pre-commit-config.yaml"]);
            run_in(&pre_commit, &["run", "--all-files"]);
            run_in(&pre_commit, &["autoupdate"]);
        });
    }
}
