//! gh as git's credential helper, as `gh auth setup-git` configures it, with
//! the shim in gh's place.

use std::fs;

use molecule_tests::git_host::Worth;
use molecule_tests::programs::gits;
use molecule_tests::world::{Ran, Setup, run, run_with_input};

use crate::scene::{PATIENCE, SHIMS, Scene, Site, Way};

const GH: &str = "!gh auth git-credential";

fn scene() -> Option<Scene> {
    let scene = Scene::started(Site::Enterprise, Setup::default())?;
    scene.world.host.create_repository("acme/app.git");
    Some(scene)
}

/// Every git of this machine, with these helpers for the host and no other.
fn ls_remote(scene: &Scene, way: Way, helpers: &[&str]) -> Vec<Ran> {
    let file = scene.world.path().join("gitconfig-gh");
    let lines: String = helpers.iter().map(|helper| format!("\thelper = {helper}\n")).collect();
    fs::write(&file, format!("[credential \"https://{}\"]\n\thelper =\n{lines}", scene.world.host.origin())).unwrap();
    let once = |git: &std::path::Path| {
        let mut command = scene.typed(way);
        command.arg(git).args(["ls-remote", &scene.world.host.url("acme/app.git")]);
        run(command.env("GIT_CONFIG_GLOBAL", &file), PATIENCE)
    };
    gits().iter().map(|git| once(&git.path)).collect()
}

#[test]
fn git_gets_no_dead_token_from_gh_and_ends() {
    let Some(scene) = scene() else { return };
    for way in SHIMS {
        for ran in ls_remote(&scene, way, &[GH]) {
            assert!(ran.stderr.contains("could not read Username"), "{way:?}: {ran:?}");
        }
    }
    assert!(scene.world.host.shown().is_empty(), "{:?}", scene.world.host.shown());
    ls_remote(&scene, Way::Bare, &[GH]);
    assert_eq!(scene.world.host.shown_count(Worth::Expired), gits().len(), "gh by itself does give it");
}

#[test]
fn git_goes_on_from_gh_to_ours() {
    let Some(scene) = scene() else { return };
    for way in SHIMS {
        for ran in ls_remote(&scene, way, &[GH, "molecule"]) {
            ran.ok();
        }
    }
    assert_eq!(scene.world.host.dead_shown(), 0);
}

#[test]
fn git_gets_the_login_that_gh_has_stored() {
    let Some(scene) = scene() else { return };
    let token = scene.world.ledger.mint(std::time::Duration::from_secs(3600)).token;
    let mut login = scene.gh(Way::Before, &["auth", "login", "--with-token"]);
    run_with_input(&mut login, token.as_bytes(), PATIENCE).ok();
    for way in SHIMS {
        for ran in ls_remote(&scene, way, &[GH]) {
            ran.ok();
        }
    }
    assert_eq!(scene.world.host.dead_shown(), 0);
}
