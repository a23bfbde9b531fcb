//! gh without a broker, and the shim without a gh.

use std::time::Duration;

use molecule_tests::git_host::CredentialState;
use molecule_tests::skip;
use molecule_tests::world::{WorldSetup, run};

use crate::gh::scene::{PATIENCE, SHIMS, Scene, Site, Way};

#[test]
fn without_a_broker_gh_has_the_persona() {
    for scene in Scene::each(Site::Enterprise, WorldSetup::default) {
        scene.world.host.let_in_persona("alice", "long-lived");
        for way in SHIMS {
            let mut gh = scene.gh(way, &["api", "user"]);
            let origin = scene.world.host.origin();
            gh.env("GIT_HTTP_USERNAME", "alice").env("GIT_HTTP_PASSWORD", "long-lived");
            let ran = run(gh.env("MOLECULE_BROKER_PERSONA_HOSTS", origin), PATIENCE).ok();
            assert!(ran.stdout.contains("alice"), "{way:?}: {ran:?}");
        }
        assert_eq!(
            (scene.world.host.shown_count(CredentialState::Persona), scene.world.host.dead_shown()),
            (SHIMS.len(), 0)
        );
    }
}

/// In a PID namespace whose first process has just started.
#[test]
fn without_a_broker_gh_has_the_provisioners_token_for_an_hour() {
    for scene in Scene::each(Site::GitHub, WorldSetup::default) {
        let new = ["unshare", "--pid", "--fork", "--mount-proc"];
        if !run(scene.agent_command(Way::Before).args(new).arg("true"), PATIENCE).success() {
            skip("gh in a container's first hour: no PID namespace can be created here");
            return;
        }
        let young = scene.world.ledger.mint(Duration::from_secs(3600)).token;
        let mut gh = scene.agent_command(Way::Before);
        gh.env("GH_TOKEN", &young).env("GITHUB_TOKEN", &young).args(new).args(["gh", "api", "user"]);
        run(&mut gh, PATIENCE).ok();
        assert_eq!((scene.world.host.shown_count(CredentialState::Live), scene.world.host.dead_shown()), (1, 0));
    }
}

#[test]
fn without_a_broker_and_a_credential_gh_sends_none() {
    for scene in Scene::each(Site::Enterprise, WorldSetup::default) {
        for way in SHIMS {
            let ran = scene.run(way, &["api", "user"]);
            assert_eq!(
                (ran.code(), ran.stderr.as_str()),
                (Some(1), "gh: Requires authentication (HTTP 401)\n"),
                "{way:?}"
            );
        }
        assert_eq!((scene.world.host.shown().len(), scene.world.host.anonymous_count()), (0, SHIMS.len()));
    }
}

#[test]
fn without_a_gh_the_status_is_127_and_one_line_says_why() {
    for scene in Scene::each_started(Site::GitHub, WorldSetup::default).take(1) {
        for (way, words) in [(Way::Before, "cli.github.com"), (Way::Exec, "can't run gh")] {
            let path: Vec<_> = scene.folders(way).into_iter().chain([scene.world.bin()]).collect();
            let mut gh = scene.gh(way, &["api", "user"]);
            let ran = run(gh.env("PATH", std::env::join_paths(path).unwrap()), PATIENCE);
            assert_eq!(
                (ran.code(), ran.stdout.as_str(), ran.stderr.lines().count()),
                (Some(127), "", 1),
                "{way:?}: {ran:?}"
            );
            assert!(ran.stderr.contains(words), "{way:?}: {ran:?}");
        }
    }
}
