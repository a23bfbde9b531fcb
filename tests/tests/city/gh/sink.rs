//! The sink `gh`: a gh without a shim or a variable has the fresh token.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use molecule_tests::git_host::APP;
use molecule_tests::programs::GH_TOKENS;
use molecule_tests::wait::eventually;
use molecule_tests::world::{WorldSetup, run};
use molecule_tests::{Ability, can};

use crate::gh::scene::{PATIENCE, Scene, Site, Way};

const LIFE: Duration = Duration::from_secs(8);

/// The longest time of a call of gh on a busy machine.
const ENOUGH: Duration = Duration::from_secs(2);

/// Runs all ghs at the same time, because each waits for its logins.
#[test]
fn after_each_refresh_a_plain_gh_works() {
    if !can(&[Ability::OwnHome]) {
        return;
    }
    let mut scenes: Vec<_> = Scene::each(Site::GitHub, || WorldSetup { life: LIFE, ..WorldSetup::default() }).collect();
    thread::scope(|scope| {
        for scene in &mut scenes {
            scope.spawn(|| work(scene));
        }
    });
}

fn work(scene: &mut Scene) {
    let version = scene.real.version.clone();
    let hosts = scene.world.home().join(".config/gh/hosts.yml");
    for (name, value) in [
        ("MOLECULE_BROKER_SINKS", "gh"),
        ("GH_CONFIG_DIR", &hosts.parent().unwrap().display().to_string()),
        ("GH_TOKEN", &scene.dead.clone()),
        ("GITHUB_TOKEN", &scene.dead.clone()),
        ("PATH", &format!("{}:/usr/bin:/bin", scene.real.path.parent().unwrap().display())),
        ("HTTPS_PROXY", &scene.proxy.url()),
        ("SSL_CERT_FILE", &scene.world.ca_file().display().to_string()),
    ] {
        scene.world.broker.set_env(name, value);
    }
    scene.world.broker.start();
    let end = Instant::now() + 2 * LIFE;
    while Instant::now() < end {
        eventually("gh is logged in with a token that has enough life left", PATIENCE, || {
            let log = scene.world.broker.log();
            assert!(!log.contains("gh failed"), "gh {version}: {log}");
            has_life_left(scene, &fs::read_to_string(&hosts).unwrap_or_default())
        });
        let mut gh = scene.gh(Way::Bare, &["api", "user"]);
        for name in GH_TOKENS {
            gh.env_remove(name);
        }
        let ran = run(&mut gh, PATIENCE).ok();
        assert!(ran.stdout.contains(APP), "gh {version}: {ran:?}");
    }
    assert_eq!(scene.world.host.dead_shown(), 0, "gh {version}");
    let mut tokens: Vec<_> = scene.world.host.shown().iter().map(|shown| shown.password_sha256).collect();
    tokens.dedup();
    assert!(tokens.len() >= 3, "gh {version} had only {} tokens", tokens.len());
}

fn has_life_left(scene: &Scene, hosts: &str) -> bool {
    let token = hosts.split_whitespace().find(|word| word.starts_with("ghs_"));
    let minted = token.and_then(|token| scene.world.ledger.find(token));
    minted.is_some_and(|minted| minted.expires > SystemTime::now() + ENOUGH)
}
