//! The main job for gh: it works through every rotation, whatever dead token is
//! exported.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use molecule_tests::git_host::{APP, CredentialState};
use molecule_tests::world::WorldSetup;

use crate::gh::scene::{SHIMS, Scene, Site, Way};

/// The broker's times are in proportion to it. The tokens live twice as long,
/// so that a gh that is slow on a busy machine still uses its token in time.
const LIFE: Duration = Duration::from_secs(4);
const LENGTH: Duration = Duration::from_secs(9);

#[test]
fn gh_works_through_rotations_at_github() {
    work_through_rotations(Site::GitHub);
}

#[test]
fn gh_works_through_rotations_at_an_enterprise_host() {
    work_through_rotations(Site::Enterprise);
}

/// Runs all ghs at the same time, because each waits for its tokens to expire.
fn work_through_rotations(site: Site) {
    let mut scenes: Vec<_> = Scene::each(site, || WorldSetup { life: LIFE, ..WorldSetup::default() }).collect();
    for scene in &mut scenes {
        scene.world.platform.set_life(2 * LIFE);
        scene.world.broker.start();
    }
    thread::scope(|scope| {
        for scene in &scenes {
            scope.spawn(|| work(scene));
        }
    });
}

fn work(scene: &Scene) {
    let version = &scene.real.version;
    let end = Instant::now() + LENGTH;
    while Instant::now() < end {
        for way in SHIMS.into_iter().chain([Way::Exec]) {
            for question in [&["api", "user"][..], &["api", "graphql", "-f", "query=query{viewer{login}}"]] {
                let ran = scene.run(way, question);
                let seen = || {
                    format!(
                        "gh {version}, {way:?}, {question:?}: {ran:?}\nthe broker's log:\n{}",
                        scene.world.broker.log()
                    )
                };
                assert!(ran.success() && ran.stdout.contains(APP) && ran.stderr.is_empty(), "{}", seen());
            }
        }
    }
    assert_eq!(scene.world.host.dead_shown(), 0, "gh {version} showed dead tokens to the host");
    assert_eq!(scene.world.host.anonymous_count(), 0);
    let tokens: HashSet<_> = scene.world.host.shown().iter().map(|shown| shown.password_sha256).collect();
    assert!(tokens.len() >= 3, "gh {version} saw only {} tokens in {LENGTH:?}", tokens.len());
}

/// The problem that the shim solves. Without it, the test above would prove
/// nothing.
#[test]
fn gh_by_itself_shows_the_dead_token() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            let ran = scene.run(Way::Bare, &["api", "user"]);
            assert!(!ran.success() && ran.stdout.contains("Bad credentials"), "{ran:?}");
            assert_eq!(scene.world.host.shown_count(CredentialState::Expired), 1);
        }
    }
}
