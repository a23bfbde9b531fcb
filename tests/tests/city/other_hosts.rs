//! Rule 12: whatever a repository or a server does to send git to another
//! server, that server never sees the token.

use std::fs;
use std::time::Duration;

use molecule_tests::git_host::{CredentialState, GitHost, HostBehaviour};
use molecule_tests::programs::{Git, gits};
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run};

/// Another port of the same name, and another name.
const EVIL_NAMES: [&str; 2] = ["localhost", "evil.localhost"];

struct Scene {
    world: World,
    evil: GitHost,
}

impl Scene {
    fn new() -> Self {
        let world = World::started(WorldSetup::default());
        world.host.create_repository("acme/app.git");
        let evil = GitHost::start(&world.ledger, Some(&world.ca));
        evil.create_repository("acme/app.git");
        evil.set_behaviour(HostBehaviour::Refuses);
        Self { world, evil }
    }

    fn git(&self, git: &Git, arguments: &[&str]) -> RunResult {
        let mut command = self.world.git(git, Wiring::Both);
        run(command.args(arguments), Duration::from_secs(30))
    }

    /// Checks that git contacted the evil host and showed it no credential.
    fn evil_was_asked_and_shown_nothing(&self, case: &str) {
        assert!(self.evil.anonymous_count() > 0, "{case}: git never contacted the other host");
        let shown = self.evil.shown();
        assert!(shown.is_empty(), "{case}: {shown:?}");
        self.evil.forget_shown();
    }
}

fn base(host: &GitHost, name: &str) -> String {
    String::from(host.url_as(name, "").trim_end_matches('/'))
}

#[test]
fn rule12_a_redirect_takes_no_token_along() {
    let scene = Scene::new();
    let url = scene.world.host.url("acme/app.git");
    for git in gits() {
        for name in EVIL_NAMES {
            let evil = base(&scene.evil, name);
            let redirects = [HostBehaviour::Redirects(evil.clone()), HostBehaviour::RedirectsWelcome(evil)];
            for redirect in redirects {
                scene.world.host.set_behaviour(redirect.clone());
                assert!(!scene.git(&git, &["ls-remote", &url]).success());
                scene.evil_was_asked_and_shown_nothing(&format!("git {}, {redirect:?}", git.version));
            }
        }
    }
    assert!(scene.world.host.shown_count(CredentialState::Live) > 0, "the allowed host never saw the token");
}

#[test]
fn rule12_instead_of_takes_no_token_along() {
    let scene = Scene::new();
    let url = scene.world.host.url("acme/app.git");
    for git in gits() {
        scene.git(&git, &["ls-remote", &url]).ok();
        for name in EVIL_NAMES {
            let rewrite = format!("url.{}/.insteadOf={}", base(&scene.evil, name), scene.world.host.url(""));
            let rewrite = rewrite.replace("//.insteadOf", "/.insteadOf");
            assert!(!scene.git(&git, &["-c", &rewrite, "ls-remote", &url]).success());
            scene.evil_was_asked_and_shown_nothing(&format!("git {}, {rewrite}", git.version));
        }
    }
}

#[test]
fn rule12_a_submodule_elsewhere_takes_no_token_along() {
    for (number, name) in EVIL_NAMES.into_iter().enumerate() {
        let scene = Scene::new();
        let url = scene.world.host.url("acme/app.git");
        let git = &gits()[0];
        let folder = scene.world.work().join("app");
        let path = folder.display().to_string();
        scene.git(git, &["clone", "--quiet", &url, &path]).ok();
        let module = format!("[submodule \"lib\"]\npath = lib\nurl = {}\n", scene.evil.url_as(name, "acme/app.git"));
        fs::write(folder.join(".gitmodules"), module).unwrap();
        let head = scene.git(git, &["-C", &path, "rev-parse", "HEAD"]).ok().stdout;
        let link = format!("160000,{},lib", head.trim());
        scene.git(git, &["-C", &path, "update-index", "--add", "--cacheinfo", &link]).ok();
        scene.git(git, &["-C", &path, "add", ".gitmodules"]).ok();
        scene.git(git, &["-C", &path, "commit", "--quiet", "-m", "A submodule"]).ok();
        scene.git(git, &["-C", &path, "push", "--quiet", "origin", "HEAD:main"]).ok();
        for git in gits() {
            let copy = format!("{path}-{number}-{}", git.version);
            let ran = scene.git(&git, &["clone", "--quiet", "--recurse-submodules", &url, &copy]);
            assert!(!ran.success(), "the submodule was cloned");
            scene.evil_was_asked_and_shown_nothing(&format!("git {}, {name}", git.version));
        }
    }
}
