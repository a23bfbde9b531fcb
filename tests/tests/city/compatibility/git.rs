//! git itself, in every version of this machine.

use std::fs;
use std::path::Path;

use molecule_tests::programs::{Git, gits};
use molecule_tests::world::{RunResult, run};

use crate::compatibility::cell::Cell;
use crate::compatibility::scene::{PATIENCE, Scene, WIRED, url};

#[test]
fn git_clones_and_fetches_through_a_rotation() {
    for git in gits() {
        let _cell = Cell::new("git: clone, fetch and push", &git.version);
        let scene = Scene::new();
        scene.publish(&git, "acme/app.git", &[("README", "An app.\n")]);
        for wired in WIRED {
            let folder = scene.folder("app").display().to_string();
            scene.through_a_rotation(|_| {
                for arguments in [
                    &["clone", "--quiet", &url("acme/app.git"), &folder][..],
                    &["-C", &folder, "fetch", "--quiet", "origin"],
                    &["-C", &folder, "commit", "--quiet", "--allow-empty", "-m", "Work"],
                    &["-C", &folder, "push", "--quiet", "origin", "HEAD:main"],
                ] {
                    run(scene.program(wired, &git.path).args(arguments), PATIENCE).ok();
                }
                fs::remove_dir_all(&folder).unwrap();
            });
        }
    }
}

#[test]
fn rule52_a_partial_clone_fetches_lazily() {
    for git in gits() {
        let _cell = Cell::new("git: partial clone", &git.version);
        let scene = Scene::new();
        scene.publish(&git, "acme/app.git", &[("first", "one\n"), ("second", "two\n")]);
        let clone = scene.world.work().join("partial");
        let path = clone.display().to_string();
        let watched = Watched { scene: &scene, git: &git };
        watched.let_in(&["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url("acme/app.git"), &path]);
        assert!(watched.missing(&path) > 0, "the host sent every object at once");
        scene.rotate();
        watched.let_in(&["-C", &path, "checkout", "--quiet", "main"]);
        assert_eq!(fs::read_to_string(clone.join("second")).unwrap(), "two\n");
        assert_eq!(watched.missing(&path), 0);
    }
}

/// Runs a git and checks how the host let it in.
pub(crate) struct Watched<'s> {
    pub(crate) scene: &'s Scene,
    pub(crate) git: &'s Git,
}

impl Watched<'_> {
    /// Checks that git succeeds, that the host refuses only its first request,
    /// and that git doesn't report a live token as rejected to a helper.
    #[track_caller]
    pub(crate) fn let_in(&self, arguments: &[&str]) -> RunResult {
        let host = &self.scene.world.host;
        host.forget_shown();
        let trace = self.scene.world.path().join("trace");
        let _ = fs::remove_file(&trace);
        let mut command = self.scene.program(crate::compatibility::scene::Wired::File, &self.git.path);
        let ran = run(command.env("GIT_TRACE", &trace).args(arguments), PATIENCE);
        assert!(ran.success(), "git {}: {ran:?}", self.git.version);
        assert_eq!(host.dead_shown(), 0, "git {} {arguments:?}", self.git.version);
        assert_eq!(
            host.anonymous_count(),
            1,
            "git {} {arguments:?}: it sent a later request without its token",
            self.git.version
        );
        assert_eq!(erased(&trace), 0, "git {} {arguments:?}: it erased a live token", self.git.version);
        ran
    }

    fn missing(&self, path: &str) -> usize {
        let arguments = ["-C", path, "rev-list", "--objects", "--all", "--missing=print"];
        self.scene.git(self.git, &arguments).ok().stdout.lines().filter(|line| line.starts_with('?')).count()
    }
}

/// Returns how often git started a helper to erase a credential.
fn erased(trace: &Path) -> usize {
    let text = fs::read_to_string(trace).unwrap();
    assert!(text.contains("run_command"), "git's trace has no started programs");
    text.lines()
        .filter(|line| line.contains("run_command") && line.contains("credential") && line.contains("erase"))
        .count()
}
