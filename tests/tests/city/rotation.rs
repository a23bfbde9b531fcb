//! The main job: real git works through every token rotation.

use std::time::{Duration, Instant};

use molecule_tests::git_host::CredentialState;
use molecule_tests::platform::MintPolicy;
use molecule_tests::programs::{Git, gits};
use molecule_tests::world::{Wiring, World, WorldSetup, run, with_long_enough_lives};

const LIFE: Duration = Duration::from_secs(4);

/// Number of these lives for which git works.
const LIVES: f64 = 2.5;

#[test]
fn git_works_through_rotations_by_the_helper() {
    for git in gits() {
        work_through_rotations(&git, Wiring::Helper, |_| MintPolicy::MintPerCall);
    }
}

#[test]
fn git_works_through_rotations_by_askpass() {
    for git in gits() {
        work_through_rotations(&git, Wiring::Askpass, |_| MintPolicy::MintPerCall);
    }
}

#[test]
fn git_works_through_rotations_of_a_platform_that_caches() {
    work_through_rotations(&gits()[0], Wiring::Both, MintPolicy::cached_like_the_real_one);
}

#[test]
fn git_works_with_a_platform_behind_tls() {
    let world = World::started(WorldSetup { platform_tls: true, ..WorldSetup::default() });
    world.host.create_repository("acme/app.git");
    let mut clone = world.git(&gits()[0], Wiring::Helper);
    clone.args(["clone", "--quiet", &world.host.url("acme/app.git"), "app"]);
    run(&mut clone, Duration::from_secs(20)).ok();
}

fn work_through_rotations(git: &Git, wiring: Wiring, policy: impl Fn(Duration) -> MintPolicy) {
    with_long_enough_lives(LIFE, |life| works(git, wiring, life, policy(life)));
}

/// Returns false if a run outlived its token.
fn works(git: &Git, wiring: Wiring, life: Duration, policy: MintPolicy) -> bool {
    let world = World::started(WorldSetup { life, policy, ..WorldSetup::default() });
    world.host.create_repository("acme/app.git");
    let folder = world.work().join("app").display().to_string();
    let git = |arguments: &[&str]| {
        let ran = run(world.git(git, wiring).args(arguments), Duration::from_secs(20));
        let (works, log) = (ran.success(), world.broker.log());
        assert!(works || ran.outlived(life), "{arguments:?}: {ran:?}\nthe broker's log:\n{log}");
        works
    };
    let length = life.mul_f64(LIVES);
    let end = Instant::now() + length;
    if !git(&["clone", "--quiet", &world.host.url("acme/app.git"), &folder]) {
        return false;
    }
    while Instant::now() < end {
        let works = git(&["-C", &folder, "commit", "--quiet", "--allow-empty", "-m", "Work"])
            && git(&["-C", &folder, "push", "--quiet", "origin", "HEAD:main"])
            && git(&["-C", &folder, "fetch", "--quiet", "origin"]);
        if !works {
            return false;
        }
    }

    assert_eq!(world.host.dead_shown(), 0, "dead tokens were shown to the host");
    assert!(world.host.shown_count(CredentialState::Live) > 10);
    let mut tokens: Vec<_> = world.platform.requests().into_iter().filter_map(|one| one.token).collect();
    let asked = tokens.len();
    tokens.dedup();
    assert!(tokens.len() >= 3, "only {} tokens in {length:?}", tokens.len());
    let rotations = tokens.len() - 1;
    // The first fetch isn't a rotation, and the last rotation may still be in
    // progress.
    assert!(asked <= rotations * 22 / 10 + 2, "{asked} requests for {rotations} rotations");
    true
}
