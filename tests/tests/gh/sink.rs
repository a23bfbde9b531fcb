//! The sink `gh`: a gh without any shim or variable has the fresh token.

use std::time::{Duration, Instant};

use molecule_tests::git_host::{APP, Worth};
use molecule_tests::programs::GH_TOKENS;
use molecule_tests::wait::eventually;
use molecule_tests::world::{Setup, run};

use crate::scene::{PATIENCE, Scene, Site, Way};

const LIFE: Duration = Duration::from_secs(6);

#[test]
fn after_each_refresh_a_plain_gh_works() {
    let Some(mut scene) = Scene::new(Site::Enterprise, Setup { life: LIFE, ..Setup::default() }) else { return };
    let hosts = scene.world.home().join(".config/gh/hosts.yml");
    for (name, value) in [
        ("MOLECULE_BROKER_SINKS", "gh"),
        ("GH_CONFIG_DIR", &hosts.parent().unwrap().display().to_string()),
        ("GH_TOKEN", &scene.dead.clone()),
        ("GH_ENTERPRISE_TOKEN", &scene.dead.clone()),
    ] {
        scene.world.broker.set_env(name, value);
    }
    scene.world.broker.start();
    eventually("gh is logged in", PATIENCE, || {
        assert!(!scene.world.broker.log().contains("gh failed"), "{}", scene.world.broker.log());
        hosts.exists()
    });
    let end = Instant::now() + 2 * LIFE;
    while Instant::now() < end {
        let mut gh = scene.gh(Way::Bare, &["api", "user"]);
        for name in GH_TOKENS {
            gh.env_remove(name);
        }
        let ran = run(&mut gh, PATIENCE).ok();
        assert!(ran.stdout.contains(APP), "{ran:?}");
    }
    assert_eq!(scene.world.host.dead_shown(), 0);
    let mut tokens: Vec<_> = scene.world.host.shown().iter().map(|shown| shown.password_sha256).collect();
    tokens.dedup();
    assert!(tokens.len() >= 3, "gh had only {} tokens", tokens.len());
    assert!(scene.world.host.shown_count(Worth::Live) > 10);
}
