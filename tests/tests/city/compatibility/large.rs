//! Pushes of every size. Above `http.postBuffer` (1 MiB) git sends the pack in
//! chunks, after a probe of four bytes that gets it authenticated.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use molecule_tests::only_in_full_run;
use molecule_tests::programs::{Git, gits};
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run};
use tempfile::TempDir;

use crate::compatibility::cell::Cell;
use crate::compatibility::git::Watched;
use crate::compatibility::scene::{PATIENCE, Scene, url};

#[test]
fn rule52_pushes_above_the_post_buffer_arrive() {
    for git in gits() {
        let _cell = Cell::new("git: push of 300 KB and 3 MB", &git.version);
        let scene = Scene::new();
        push_each(&scene, &git, &["300-KB", "3-MB"]);
    }
}

#[test]
fn rule52_100_mb_are_pushed_and_cloned() {
    if !only_in_full_run("100 MB pushed and cloned") {
        return;
    }
    for git in gits() {
        let _cell = Cell::new("git: 100 MB pushed and cloned", &git.version);
        let scene = Scene::new();
        let pushed = push_each(&scene, &git, &["100-MB"]);
        scene.rotate();
        let clone = scene.world.work().join("clone");
        let address = url("acme/100-MB.git");
        let arguments = ["clone", "--quiet", "--branch", "100-MB", &address, &clone.display().to_string()];
        let cloned = Watched { scene: &scene, git: &git }.let_in(&arguments);
        assert_eq!(fs::metadata(clone.join("data")).unwrap().len(), 100_000_000);
        println!("FIGURE: git {}: 100 MB pushed in {:.1?}, cloned in {:.1?}", git.version, pushed.took, cloned.took);
    }
}

/// Pushes each branch to its own repository. Returns the last run.
fn push_each(scene: &Scene, git: &Git, names: &[&str]) -> RunResult {
    let data = data().display().to_string();
    let push = |name: &&str| {
        let repository = format!("acme/{name}.git");
        scene.world.host.create_repository(&repository);
        Watched { scene, git }.let_in(&["-C", &data, "push", "--quiet", &url(&repository), name])
    };
    names.iter().map(push).last().unwrap()
}

/// Returns a repository with a branch of each size, whose data can't be
/// compressed. It is created once and shared by all gits.
fn data() -> PathBuf {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    let folder = DATA.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(WorldSetup::default());
        let git = |arguments: &[&str]| {
            let mut git = world.git(&gits()[0], Wiring::Nothing);
            run(git.current_dir(folder.path()).args(arguments), PATIENCE).ok();
        };
        git(&["init", "--quiet", "."]);
        // The test should measure the push, not zlib.
        git(&["config", "core.compression", "0"]);
        for (name, size) in [("300-KB", 300_000), ("3-MB", 3_000_000), ("100-MB", 100_000_000)] {
            git(&["checkout", "--quiet", "--orphan", name]);
            let mut random = io::Read::take(File::open("/dev/urandom").unwrap(), size);
            io::copy(&mut random, &mut File::create(folder.path().join("data")).unwrap()).unwrap();
            git(&["add", "data"]);
            git(&["commit", "--quiet", "-m", name]);
        }
        folder
    });
    folder.path().to_path_buf()
}
