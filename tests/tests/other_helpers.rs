//! Beside other helpers, and under git's own test of external helpers.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use molecule_tests::programs::{Git, gits};
use molecule_tests::skip;
use molecule_tests::world::{Ran, Setup, Wiring, World, run};

/// git 2.46 told helpers apart from those who only pass a credential on. Before
/// that every configured helper is handed what worked, by git itself.
#[test]
fn r21_a_store_beside_ours_gets_nothing_from_a_git_that_can_keep_it_out() {
    for git in gits() {
        let world = World::started(Setup::default());
        world.host.create_repository("acme/app.git");
        let file = world.home().join("stored");
        let store = format!("credential.helper=store --file={}", file.display());
        let mut command = world.git(&git, Wiring::Helper);
        command.args(["-c", &store, "ls-remote", &world.host.url("acme/app.git")]);
        run(&mut command, Duration::from_secs(10)).ok();
        let stored = fs::read_to_string(&file).unwrap_or_default();
        if git.at_least(2, 46) {
            assert_eq!(stored, "", "git {} stored it", git.version);
        } else {
            assert!(stored.contains("x-access-token"), "git {} is better than the docs say", git.version);
        }
    }
}

#[test]
fn r47_gits_own_test_of_helpers_finds_that_ours_stores_nothing() {
    let Some(folder) = git_tests() else { return };
    let world = World::started(Setup::default());
    for git in gits() {
        let silent = score(&world, &folder, &git, Path::new("/bin/true"));
        assert!(silent.iter().any(|line| line.starts_with("ok ")), "git {}: {silent:?}", git.version);
        assert!(silent.iter().any(|line| line.starts_with("not ok ")), "git {}: {silent:?}", git.version);
        let ours = score(&world, &folder, &git, &world.bin().join("git-credential-molecule"));
        assert_eq!(ours, silent, "git {}", git.version);
    }
}

/// The folder that holds git's own `t/`, fetched from Debian's source package.
fn git_tests() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("../target/git-tests");
    let mut fetch = Command::new(here.join("fetch-git-tests"));
    let ran = run(fetch.arg(&folder), Duration::from_secs(180));
    if !ran.success() {
        let why = ran.stderr.lines().chain(ran.stdout.lines()).last().unwrap_or("no word why").to_owned();
        skip(&format!("git's own helper tests (t0303): their source can't be had: {why}"));
        return None;
    }
    // Its library insists on a built git. What it needs of one is this.
    fs::create_dir_all(folder.join("t/helper")).unwrap();
    fs::create_dir_all(folder.join("templates/blt")).unwrap();
    let options = "SHELL_PATH=/bin/sh\nTEST_SHELL_PATH=/bin/sh\nPERL_PATH=perl\nDIFF=diff\nNO_GETTEXT=Yes\n";
    fs::write(folder.join("GIT-BUILD-OPTIONS"), options).unwrap();
    let tool = folder.join("t/helper/test-tool");
    fs::copy("/bin/false", tool).unwrap();
    Some(folder)
}

fn score(world: &World, folder: &Path, git: &Git, helper: &Path) -> Vec<String> {
    let mut command = world.command(Path::new("/bin/sh"));
    command
        .arg("./t0303-credential-external.sh")
        .arg(format!("--root={}", world.work().join("t0303").display()))
        .current_dir(folder.join("t"))
        .env("GIT_TEST_CREDENTIAL_HELPER", helper)
        .env("GIT_TEST_INSTALLED", git.path.parent().unwrap())
        .env("GIT_TEST_CHAIN_LINT", "0")
        .env("TEST_NO_MALLOC_CHECK", "1");
    let Ran { stdout, .. } = run(&mut command, Duration::from_secs(120));
    let is_verdict = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let name = helper.display().to_string();
    stdout.lines().filter(is_verdict).map(|line| line.replace(&name, "HELPER")).collect()
}
