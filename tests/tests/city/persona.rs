//! The persona's credential together with the platform's, with real git.

use std::time::Duration;

use molecule_tests::git_host::{CredentialState, GitHost};
use molecule_tests::programs::gits;
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run};

const USER: &str = "agent-7";
const PASSWORD: &str = "long-lived-persona-password";

struct Scene {
    world: World,
    gitea: GitHost,
}

impl Scene {
    fn new(scope: impl FnOnce(&GitHost) -> Option<String>, tls: bool) -> Self {
        let mut world = World::new(WorldSetup::default());
        let gitea = GitHost::start(&world.ledger, tls.then_some(&world.ca));
        for host in [&world.host, &gitea] {
            host.let_in_persona(USER, PASSWORD);
            host.create_repository("acme/app.git");
        }
        world.broker.set_env("GIT_HTTP_USERNAME", USER);
        world.broker.set_env("GIT_HTTP_PASSWORD", PASSWORD);
        if let Some(hosts) = scope(&gitea) {
            world.broker.set_env("MOLECULE_BROKER_PERSONA_HOSTS", &hosts);
        }
        world.broker.start();
        Self { world, gitea }
    }

    fn ls_remote(&self, host: &GitHost, name: &str) -> RunResult {
        let mut git = self.world.git(&gits()[0], Wiring::Both);
        run(git.args(["ls-remote", &host.url_as(name, "acme/app.git")]), Duration::from_secs(20))
    }
}

#[test]
fn rule14_a_scoped_persona_opens_its_own_host_and_no_other() {
    let scene = Scene::new(|gitea| Some(gitea.origin_as("gitea.localhost")), true);
    scene.ls_remote(&scene.gitea, "gitea.localhost").ok();
    assert!(scene.gitea.shown_count(CredentialState::Persona) > 0);
    scene.gitea.forget_shown();
    assert!(!scene.ls_remote(&scene.gitea, "evil.localhost").success());
    assert!(scene.gitea.anonymous_count() > 0);
    assert!(scene.gitea.shown().is_empty(), "{:?}", scene.gitea.shown());
}

#[test]
fn rule14_an_unscoped_persona_opens_any_host_but_only_by_https() {
    let scene = Scene::new(|_| None, true);
    scene.ls_remote(&scene.gitea, "gitea.localhost").ok();
    assert!(scene.gitea.shown_count(CredentialState::Persona) > 0);

    let plain = Scene::new(|_| None, false);
    assert!(!plain.ls_remote(&plain.gitea, "gitea.localhost").success());
    assert!(plain.gitea.anonymous_count() > 0);
    assert!(plain.gitea.shown().is_empty(), "{:?}", plain.gitea.shown());
}

#[test]
fn rule51_the_persona_is_never_given_for_a_claimed_origin() {
    let scene = Scene::new(|_| None, true);
    scene.ls_remote(&scene.world.host, "localhost").ok();
    assert!(scene.world.host.shown_count(CredentialState::Live) > 0);
    assert_eq!(scene.world.host.shown_count(CredentialState::Persona), 0);

    let mut without = Scene::new(|_| None, true);
    without.world.broker.kill();
    without.world.platform.refuse_connections();
    without.world.broker.start();
    assert!(!without.ls_remote(&without.world.host, "localhost").success());
    assert_eq!(without.world.host.shown_count(CredentialState::Persona), 0);
}
