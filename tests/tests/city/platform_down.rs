//! The platform goes down. git doesn't notice it while the token lives.
//! Afterwards git stops at once and says why.

use std::time::{Duration, Instant};

use molecule_tests::platform::PlatformMode;
use molecule_tests::programs::gits;
use molecule_tests::wait::eventually;
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run};

fn world(life: Duration) -> World {
    let world = World::started(WorldSetup { life, ..WorldSetup::default() });
    world.host.create_repository("acme/app.git");
    world
}

fn ls_remote(world: &World, wiring: Wiring) -> RunResult {
    let mut git = world.git(&gits()[0], wiring);
    run(git.args(["ls-remote", &world.host.url("acme/app.git")]), Duration::from_secs(20))
}

#[test]
fn rule39_an_outage_shorter_than_the_tokens_life_isnt_noticed() {
    // An eighth of it is the time that the last git has, on a busy machine too.
    let life = Duration::from_secs(20);
    let world = world(life);
    ls_remote(&world, Wiring::Helper).ok();
    let asked = world.platform.request_count();
    eventually("a refresh", life, || world.platform.request_count() > asked);
    world.platform.refuse_connections();
    let dies = world.ledger.all().last().unwrap().expires;
    while dies.duration_since(std::time::SystemTime::now()).is_ok_and(|left| left > life / 8) {
        ls_remote(&world, Wiring::Helper).ok();
    }
    world.platform.accept_connections();
    let back = Instant::now();
    while back.elapsed() < life / 2 {
        ls_remote(&world, Wiring::Helper).ok();
    }
    assert_eq!(world.host.dead_shown(), 0);
}

#[test]
fn rule39_past_expiry_git_stops_within_two_seconds_and_says_why() {
    for (mode, cause) in [(None, "connect"), (Some(PlatformMode::Fails), "500")] {
        let life = Duration::from_secs(4);
        let world = world(life);
        ls_remote(&world, Wiring::Helper).ok();
        match mode {
            None => world.platform.refuse_connections(),
            Some(mode) => world.platform.set_mode(mode),
        }
        eventually("the token expires", life * 2, || world.broker.credential("github")["state"] == "expired");

        let refused = ls_remote(&world, Wiring::Helper);
        assert!(!refused.success());
        assert!(refused.took < Duration::from_secs(2), "it took {:?}", refused.took);
        let said = refused.stderr.to_lowercase();
        assert!(said.contains("molecule-broker"), "{said}");
        assert!(said.contains(cause), "the cause, {cause}, isn't in: {said}");
        assert!(!said.contains("terminal prompts"), "git went on to prompt: {said}");
        assert_eq!(world.host.dead_shown(), 0);

        let by_askpass = ls_remote(&world, Wiring::Askpass);
        assert!(!by_askpass.success());
        assert!(by_askpass.took < Duration::from_secs(2), "it took {:?}", by_askpass.took);

        world.platform.accept_connections();
        world.platform.set_mode(PlatformMode::Normal);
        // The longest pause of the back-off is one second in this world.
        eventually("git works again", Duration::from_secs(2), || ls_remote(&world, Wiring::Helper).success());
    }
}

#[test]
fn rule13_a_redirect_of_the_platform_is_not_followed() {
    let life = Duration::from_secs(4);
    let world = world(life);
    ls_remote(&world, Wiring::Helper).ok();
    let elsewhere = molecule_tests::git_host::GitHost::start(&world.ledger, None);
    let asked = world.platform.request_count();
    world.platform.set_mode(PlatformMode::Redirects(elsewhere.url("")));
    eventually("the broker asks again", life, || world.platform.request_count() > asked);
    ls_remote(&world, Wiring::Helper).ok();
    world.platform.set_mode(PlatformMode::Normal);
    eventually("the broker gets a token", life, || world.platform.requests().last().unwrap().status == 200);
    assert!(elsewhere.shown().is_empty(), "the bearer was sent to another host");
    assert_eq!(elsewhere.anonymous_count(), 0, "the redirect was followed");
}
