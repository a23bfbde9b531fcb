//! Today's uses of gh by other programs and by people, with every gh of this
//! machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use molecule_tests::git_host::{APP, CredentialState};
use molecule_tests::ledger::{TokenState, random_alphanumerics};
use molecule_tests::platform::PlatformMode;
use molecule_tests::skip;
use molecule_tests::wait::eventually_some;
use molecule_tests::world::{RunResult, WorldSetup, run, write_program};

use crate::gh::scene::{PATIENCE, SHIMS, Scene, Site, Way};

const PERSONS: &str = "gho_alices";

/// Terraform, act, mise and many scripts get their token this way.
#[test]
fn rule56_auth_token_prints_the_fresh_token() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            let host = scene.host();
            for way in SHIMS {
                // Without an option, gh 2.23 uses github.com, whatever GH_HOST
                // says.
                let follows_variable = site == Site::GitHub || scene.real.at_least(2, 40);
                let options = [vec!["--hostname", &host], vec!["-h", &host], vec![]];
                for option in options.iter().filter(|option| follows_variable || !option.is_empty()) {
                    let question = [&["auth", "token"], &option[..]].concat();
                    let ran = scene.run(way, &question).ok();
                    assert_eq!(
                        scene.world.ledger.state_of(ran.stdout.trim_end()),
                        TokenState::Live,
                        "{way:?}: {ran:?}"
                    );
                    assert_eq!(ran.stderr, "");
                }
            }
        }
    }
}

#[test]
fn rule53_gh_gets_long_tokens_whole() {
    for scene in Scene::each_started(Site::GitHub, WorldSetup::default) {
        for length in [40, 523, 8_192] {
            let token = format!("ghs_{}", random_alphanumerics(length - 4));
            scene.world.ledger.register(token.clone(), Duration::from_secs(3600));
            scene.world.platform.script_next([PlatformMode::TokenText(token.clone())]);
            scene.world.broker.control(&["refresh", "github"]).ok();
            for way in SHIMS {
                let printed = scene.run(way, &["auth", "token"]).ok().stdout;
                assert_eq!(printed.trim_end(), token, "{way:?}, {length} bytes");
            }
            assert!(scene.run(Way::Before, &["api", "user"]).ok().stdout.contains(APP));
        }
        assert_eq!(scene.world.host.dead_shown(), 0);
    }
}

/// Without `GH_HOST`, gh uses github.com.
#[test]
fn rule56_auth_token_serves_a_host_that_only_an_option_names() {
    for scene in Scene::each_started(Site::Enterprise, WorldSetup::default) {
        let ask = |host: &str| {
            let mut gh = scene.gh(Way::Before, &["auth", "token", "-h", host]);
            run(gh.env_remove("GH_HOST"), PATIENCE)
        };
        let ran = ask(&scene.host()).ok();
        assert_eq!(scene.world.ledger.state_of(ran.stdout.trim_end()), TokenState::Live, "{ran:?}");
        for stranger in ["evil.example", "github.com"] {
            let ran = ask(stranger);
            assert!(!ran.success() && ran.stdout.is_empty(), "{stranger}: {ran:?}");
        }
    }
}

#[test]
fn rule56_repo_clone_works() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            scene.world.host.create_repository("acme/app.git");
            for way in SHIMS {
                let folder = scene.world.work().join(format!("{way:?}"));
                let target = folder.display().to_string();
                let mut gh = scene.gh(way, &["repo", "clone", "acme/app", &target]);
                run(gh.env("GIT_CONFIG_GLOBAL", "/dev/null"), PATIENCE).ok();
                assert!(folder.join(".git/HEAD").exists());
            }
            assert_eq!(scene.world.host.dead_shown(), 0, "{:?}", scene.world.host.shown());
        }
    }
}

const EXTENSION: &str = "#!/bin/sh\nset -e\nprintf %s \"$GH_TOKEN$GH_ENTERPRISE_TOKEN\" >\"$2.new\"\n\
    mv \"$2.new\" \"$2\"\nuntil [ -e \"$1\" ]; do sleep 0.05; done\n\"$GH_PATH\" api user\ngh api user\n";

/// The extension waits until the token that it was started with is dead. Then
/// it calls gh by the path that it got, and by its name.
#[test]
fn rule56_an_extension_calls_gh_after_its_token_expired() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            write_program(&scene.world.home().join(".local/share/gh/extensions/gh-later/gh-later"), EXTENSION);
            let go = scene.world.work().join("go");
            thread::scope(|scope| {
                let running = SHIMS.map(|way| {
                    (
                        way,
                        scope.spawn({
                            let (scene, go) = (&scene, &go);
                            move || call_later(scene, way, go)
                        }),
                    )
                });
                let tokens = SHIMS.map(|way| {
                    eventually_some("the extension runs", PATIENCE, || fs::read_to_string(token_file(&scene, way)).ok())
                });
                scene.world.broker.control(&["refresh"]).ok();
                tokens.iter().for_each(|token| scene.world.ledger.revoke(token));
                fs::write(&go, "").unwrap();
                for (way, ran) in running {
                    let ran = ran.join().unwrap().ok();
                    assert_eq!(ran.stdout.matches(APP).count(), 2, "{way:?}: {ran:?}");
                }
            });
            assert_eq!(scene.world.host.dead_shown(), 0, "{:?}", scene.world.host.shown());
        }
    }
}

fn call_later(scene: &Scene, way: Way, go: &Path) -> RunResult {
    let words = [go, &token_file(scene, way)].map(|path| path.display().to_string());
    run(&mut scene.gh(way, &["later", &words[0], &words[1]]), 2 * PATIENCE)
}

/// Returns the file in which an extension writes the token that it was started
/// with.
fn token_file(scene: &Scene, way: Way) -> PathBuf {
    scene.world.work().join(format!("{way:?}-token"))
}

/// At github.com, because gh 2.102 finds no stored login for a host with a
/// port.
#[test]
fn rule56_a_persons_login_is_used_where_it_is_preferred() {
    for scene in Scene::each_started(Site::GitHub, WorldSetup::default) {
        scene.world.host.let_in_persona("alice", PERSONS);
        scene.store_login("alice", PERSONS);
        for way in SHIMS {
            let who = |preference: &str| {
                let mut gh = scene.gh(way, &["api", "user"]);
                run(gh.env("MOLECULE_BROKER_GH", preference), PATIENCE).ok().stdout
            };
            assert!(who("login").contains("alice"), "{way:?}");
            assert!(who("").contains(APP), "{way:?}");
        }
        assert_eq!(scene.world.host.dead_shown(), 0);
    }
}

/// These commands accept only a person's OAuth token.
#[test]
fn rule56_a_persons_login_serves_commands_that_need_it() {
    const DEMAND: &str = "this command requires an OAuth token";
    for scene in Scene::each_started(Site::GitHub, WorldSetup::default) {
        if !scene.real.at_least(2, 80) {
            skip(&format!("gh agent-task with gh {}: it has no such command", scene.real.version));
            continue;
        }
        scene.world.host.let_in_persona("alice", PERSONS);
        for way in SHIMS {
            let ran = scene.run(way, &["agent-task", "list"]);
            assert!(ran.stderr.contains(DEMAND), "without a login gh must say so: {ran:?}");
            assert!(ran.stderr.contains("run `gh auth login`"), "and the shim must name the remedy: {ran:?}");
        }
        assert!(scene.world.host.shown().is_empty());
        scene.store_login("alice", PERSONS);
        for way in SHIMS {
            let ran = scene.run(way, &["agent-task", "list"]);
            assert!(!ran.stderr.contains(DEMAND), "{way:?}: {ran:?}");
        }
        assert!(scene.world.host.shown_count(CredentialState::Persona) > 0);
        assert_eq!(scene.world.host.dead_shown(), 0);
    }
}
