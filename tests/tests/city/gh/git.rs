//! gh as git's credential helper, as `gh auth setup-git` configures it, with
//! the shim in gh's place.

use std::fs;

use molecule_tests::git_host::CredentialState;
use molecule_tests::programs::gits;
use molecule_tests::world::{RunResult, WorldSetup, run, run_with_input};

use crate::gh::scene::{PATIENCE, SHIMS, Scene, Site, Way};

const GH: &str = "!gh auth git-credential";

fn scenes() -> impl Iterator<Item = Scene> {
    Scene::each_started(Site::Enterprise, WorldSetup::default).inspect(|scene| {
        scene.world.host.create_repository("acme/app.git");
    })
}

/// Runs every git of this machine, with gh as its only helper for the host, and
/// with this value of `MOLECULE_BROKER_GH`.
fn ls_remote(scene: &Scene, way: Way, preference: Option<&str>) -> Vec<RunResult> {
    let file = scene.world.path().join("gitconfig-gh");
    let section = format!("[credential \"https://{}\"]\n\thelper =\n\thelper = {GH}\n", scene.world.host.origin());
    fs::write(&file, section).unwrap();
    let once = |git: &std::path::Path| {
        let mut command = scene.agent_command(way);
        command.arg(git).args(["ls-remote", &scene.world.host.url("acme/app.git")]);
        command.envs(preference.map(|value| ("MOLECULE_BROKER_GH", value)));
        run(command.env("GIT_CONFIG_GLOBAL", &file), PATIENCE)
    };
    gits().iter().map(|git| once(&git.path)).collect()
}

#[test]
fn rule56_git_gets_the_fresh_token_from_gh() {
    for scene in scenes() {
        for way in SHIMS {
            ls_remote(&scene, way, None).into_iter().for_each(|ran| drop(ran.ok()));
        }
        assert_eq!(scene.world.host.dead_shown(), 0, "{:?}", scene.world.host.shown());
        ls_remote(&scene, Way::Bare, None);
        assert_eq!(
            scene.world.host.shown_count(CredentialState::Expired),
            gits().len(),
            "gh without the shim returns a dead token"
        );
    }
}

/// git's helper is configured for all hosts, so git asks it for a host out of
/// scope.
#[test]
fn rule56_git_gets_no_token_from_gh_for_another_host() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            for (way, host) in
                SHIMS.into_iter().zip(["evil.example", "gist.github.com.evil.example", "api.github.com", "x.ghe.com"])
            {
                let mut gh = scene.gh(way, &["auth", "git-credential", "get"]);
                let asked = format!("protocol=https\nhost={host}\n\n");
                let ran = run_with_input(&mut gh, asked.as_bytes(), PATIENCE);
                assert_eq!((ran.code(), ran.stdout.as_str()), (Some(1), ""), "{way:?}, {host}: {ran:?}");
            }
        }
    }
}

#[test]
fn rule56_git_gets_a_persons_login_from_gh_where_preferred() {
    for scene in scenes() {
        scene.world.host.let_in_persona("alice", "gho_alices");
        scene.store_login("alice", "gho_alices");
        for way in SHIMS {
            ls_remote(&scene, way, Some("login")).into_iter().for_each(|ran| drop(ran.ok()));
        }
        assert_eq!(scene.world.host.shown_count(CredentialState::Persona), scene.world.host.shown().len());
    }
}
