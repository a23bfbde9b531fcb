//! The persona credential beside the platform's, with real git.

use std::time::Duration;

use molecule_tests::git_host::{GitHost, Worth};
use molecule_tests::programs::gits;
use molecule_tests::world::{Ran, Setup, Wiring, World, run};

const USER: &str = "agent-7";
const PASSWORD: &str = "long-lived-persona-password";

struct Scene {
    world: World,
    gitea: GitHost,
}

impl Scene {
    fn new(scope: impl FnOnce(&GitHost) -> Option<String>, tls: bool) -> Self {
        let mut world = World::new(Setup::default());
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

    fn ls_remote(&self, host: &GitHost, name: &str) -> Ran {
        let mut git = self.world.git(&gits()[0], Wiring::Both);
        run(git.args(["ls-remote", &host.url_as(name, "acme/app.git")]), Duration::from_secs(20))
    }
}

#[test]
fn rule14_a_scoped_persona_opens_its_own_host_and_no_other() {
    let scene = Scene::new(|gitea| Some(gitea.origin_as("gitea.localhost")), true);
    scene.ls_remote(&scene.gitea, "gitea.localhost").ok();
    assert!(scene.gitea.shown_count(Worth::Persona) > 0);
    scene.gitea.forget_shown();
    assert!(!scene.ls_remote(&scene.gitea, "evil.localhost").success());
    assert!(scene.gitea.anonymous_count() > 0);
    assert!(scene.gitea.shown().is_empty(), "{:?}", scene.gitea.shown());
}

#[test]
fn rule14_without_a_scope_it_opens_any_host_but_never_over_plain_http() {
    let scene = Scene::new(|_| None, true);
    scene.ls_remote(&scene.gitea, "gitea.localhost").ok();
    assert!(scene.gitea.shown_count(Worth::Persona) > 0);

    let plain = Scene::new(|_| None, false);
    assert!(!plain.ls_remote(&plain.gitea, "gitea.localhost").success());
    assert!(plain.gitea.anonymous_count() > 0);
    assert!(plain.gitea.shown().is_empty(), "{:?}", plain.gitea.shown());
}

#[test]
fn rule51_it_is_never_given_where_the_platform_credential_is_claimed() {
    let scene = Scene::new(|_| None, true);
    scene.ls_remote(&scene.world.host, "localhost").ok();
    assert!(scene.world.host.shown_count(Worth::Live) > 0);
    assert_eq!(scene.world.host.shown_count(Worth::Persona), 0);

    let mut without = Scene::new(|_| None, true);
    without.world.broker.kill();
    without.world.platform.refuse_connections();
    without.world.broker.start();
    assert!(!without.ls_remote(&without.world.host, "localhost").success());
    assert_eq!(without.world.host.shown_count(Worth::Persona), 0);
}
