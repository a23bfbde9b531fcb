//! The hosts that get a token: ours goes only to hosts in scope, and the user's
//! own always takes precedence.

use molecule_protocol::digest::sha256;
use molecule_tests::git_host::{CredentialState, GitHost};
use molecule_tests::programs::GH_TOKENS;
use molecule_tests::world::{RunResult, WorldSetup, run};

use crate::gh::scene::{PATIENCE, SHIMS, Scene, Site, Way};

const OWN: &str = "ghp_alices";
const EVIL: &str = "evil.example";

/// Returns the variables that gh reads for this site, and those for the other
/// kind.
fn split(site: Site) -> (&'static [&'static str], &'static [&'static str]) {
    let (github, enterprise) = GH_TOKENS.split_at(2);
    if site == Site::GitHub { (github, enterprise) } else { (enterprise, github) }
}

#[test]
fn the_host_sees_only_the_users_own_token() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            scene.world.host.let_in_persona("alice", OWN);
            for way in SHIMS {
                for variable in split(site).0 {
                    let ran = run(scene.gh(way, &["api", "user"]).env(variable, OWN), PATIENCE).ok();
                    assert!(ran.stdout.contains("alice"), "{way:?}, {variable}: {ran:?}");
                }
            }
            let shown = scene.world.host.shown();
            assert!(shown.iter().all(|one| one.password_sha256 == sha256(OWN.as_bytes())), "{shown:?}");
            assert!(!scene.world.broker.audit().contains("client=gh"), "{}", scene.world.broker.audit());
        }
    }
}

#[test]
fn an_own_token_for_the_other_kind_of_host_changes_nothing() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            for variable in split(site).1 {
                run(scene.gh(Way::Before, &["api", "user"]).env(variable, OWN), PATIENCE).ok();
            }
            assert_eq!((scene.world.host.shown_count(CredentialState::Live), scene.world.host.dead_shown()), (2, 0));
            assert!(scene.world.broker.audit().contains("client=gh"));
        }
    }
}

/// A compose file leaves a variable empty if it passes on one that isn't set.
#[test]
fn an_empty_variable_counts_as_not_set() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            for way in SHIMS {
                run(scene.gh(way, &["api", "user"]).envs(GH_TOKENS.map(|name| (name, ""))), PATIENCE).ok();
            }
            assert_eq!(
                (scene.world.host.shown_count(CredentialState::Live), scene.world.host.dead_shown()),
                (SHIMS.len(), 0)
            );
        }
    }
}

#[test]
fn a_host_out_of_scope_is_shown_nothing() {
    for scene in Scene::each_started(Site::Enterprise, WorldSetup::default) {
        for way in SHIMS {
            let mut gh = scene.gh(way, &["api", "user"]);
            sends_no_token(&scene.evil, way, &run(gh.env("GH_HOST", EVIL), PATIENCE));
        }
        let mut gh = scene.gh(Way::Before, &["api", "user"]);
        run(gh.env("GH_HOST", EVIL).env("GH_ENTERPRISE_TOKEN", OWN), PATIENCE);
        assert!(sees_the_users_own(&scene.evil));
    }
}

#[test]
fn another_host_that_an_argument_names_is_shown_nothing() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            let elsewhere = ["api", "--hostname", EVIL, "user"];
            // `exec` can't see what gh does with the token for an enterprise
            // host.
            let exec = (site == Site::GitHub).then_some(Way::Exec);
            for way in SHIMS.into_iter().chain(exec) {
                sends_no_token(&scene.evil, way, &scene.run(way, &elsewhere));
            }
            run(scene.gh(Way::Before, &elsewhere).env("GH_ENTERPRISE_TOKEN", OWN), PATIENCE);
            assert!(sees_the_users_own(&scene.evil));
        }
    }
}

#[track_caller]
fn sends_no_token(evil: &GitHost, way: Way, ran: &RunResult) {
    assert!(!ran.success() && ran.stderr.contains("HTTP 401"), "{way:?}: {ran:?}");
    assert!(evil.anonymous_count() > 0 && evil.shown().is_empty(), "{way:?}: {:?}", evil.shown());
    evil.forget_shown();
}

fn sees_the_users_own(host: &GitHost) -> bool {
    host.shown().iter().any(|shown| shown.password_sha256 == sha256(OWN.as_bytes()))
}
