//! The exported variables of the user who runs the tests reach no program that
//! a test starts. git hooks export `GIT_DIR`, and a `git commit` of the test
//! city must not land in the developer's repository.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use molecule_tests::docker::repository_root;
use molecule_tests::programs::{gits, has_git_lfs, programs};
use molecule_tests::world::{Wiring, World, WorldSetup, run};
use molecule_tests::{machine_tool, program};

const PATIENCE: Duration = Duration::from_secs(120);

/// The developer's repository, and a hook and a helper that leave a file if
/// they run.
struct Developer {
    folder: tempfile::TempDir,
}

impl Developer {
    fn new() -> Self {
        let developer = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(developer.at("hooks")).unwrap();
        let ran = developer.at("a-hook-ran");
        for hook in ["hooks/pre-commit", "hooks/post-commit", "hooks/pre-push", "helper"] {
            let script = format!("#!/bin/sh\ntouch {}\n", ran.display());
            molecule_tests::world::write_program(&developer.at(hook), &script);
        }
        fs::write(developer.at("config"), format!("[core]\nhooksPath = {}\n", developer.shown("hooks"))).unwrap();
        let git = |words: &[&str]| {
            let mut git = program("git");
            git.args(["-c", "user.name=Dev", "-c", "user.email=dev@city.test", "-C"]).arg(developer.folder.path());
            run(git.args(words), PATIENCE).ok();
        };
        git(&["init", "--quiet", "--initial-branch=main", "repository"]);
        fs::write(developer.at("repository/file"), "the developer's\n").unwrap();
        git(&["-C", "repository", "add", "file"]);
        git(&["-C", "repository", "commit", "--quiet", "-m", "Mine"]);
        developer
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// Returns every variable that git and its helpers might use.
    fn exported(&self) -> Vec<(&'static str, String)> {
        let hooks = format!("core.hooksPath={}", self.shown("hooks"));
        let helper = format!("credential.helper={}", self.shown("helper"));
        vec![
            ("GIT_DIR", self.shown("repository/.git")),
            ("GIT_COMMON_DIR", self.shown("repository/.git")),
            ("GIT_WORK_TREE", self.shown("repository")),
            ("GIT_INDEX_FILE", self.shown("repository/.git/index")),
            ("GIT_OBJECT_DIRECTORY", self.shown("repository/.git/objects")),
            ("GIT_NAMESPACE", "theirs".into()),
            ("GIT_PREFIX", "sub/".into()),
            ("GIT_CONFIG", self.shown("config")),
            ("GIT_CONFIG_GLOBAL", self.shown("config")),
            ("GIT_CONFIG_SYSTEM", self.shown("config")),
            ("GIT_CONFIG_COUNT", "1".into()),
            ("GIT_CONFIG_KEY_0", "core.hooksPath".into()),
            ("GIT_CONFIG_VALUE_0", self.shown("hooks")),
            ("GIT_CONFIG_PARAMETERS", format!("'{hooks}' '{helper}'")),
            ("GIT_ASKPASS", self.shown("helper")),
            ("SSH_ASKPASS", self.shown("helper")),
            ("GIT_SSH_COMMAND", self.shown("helper")),
            ("GIT_EDITOR", self.shown("helper")),
            ("GIT_EXTERNAL_DIFF", self.shown("helper")),
            ("GIT_EXEC_PATH", "/nowhere".into()),
            ("GIT_TEMPLATE_DIR", self.shown("hooks")),
            ("GIT_TRACE", self.shown("traced")),
            ("GIT_ALLOW_PROTOCOL", "none".into()),
            ("GIT_SSL_CAINFO", "/nowhere".into()),
            ("HOME", self.shown("home")),
            ("XDG_CONFIG_HOME", self.shown("home")),
            ("GH_TOKEN", "ghs_the_developers".into()),
            ("GITHUB_TOKEN", "ghs_the_developers".into()),
            ("PLATFORM_URL", "http://localhost:1".into()),
            ("MOLECULE_BROKER_SOCKET", self.shown("broker.sock")),
            ("HTTPS_PROXY", "http://localhost:1".into()),
        ]
    }

    /// Returns every file below the folder with its bytes.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files_below(self.folder.path()).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn exported_git_variables_keep_tests_out_of_the_repository() {
    let developer = Developer::new();
    let before = developer.files();
    let mut test = program(env::current_exe().unwrap());
    // A cargo in that environment would be another test.
    test.env("MOLECULE_BIN_DIR", programs().broker.parent().unwrap());
    test.args(["hermetic::the_work_of_a_test", "--exact", "--ignored", "--nocapture"]).envs(developer.exported());
    let ran = run(test.current_dir(developer.at("repository")), PATIENCE);
    let after = developer.files();
    let is_changed = |(path, bytes): &(&PathBuf, &Vec<u8>)| before.get(*path) != Some(bytes);
    let changed: Vec<_> = after.iter().filter(is_changed).map(|(path, _)| path).collect();
    assert!(changed.is_empty() && after.len() == before.len(), "{changed:?}\n{ran:?}");
    assert!(ran.success() && ran.stdout.contains("1 passed"), "{ran:?}");
}

#[test]
#[ignore = "not a test: runs as a process of the test above"]
fn the_work_of_a_test() {
    assert!(env::var_os("GIT_DIR").is_some(), "it is started by a test with a developer's environment");
    has_git_lfs();
    for git in gits() {
        let world = World::started(WorldSetup::default());
        world.host.create_repository("acme/app.git");
        for wiring in [Wiring::Helper, Wiring::Askpass] {
            let run_git = |folder: &str, words: &[&str]| {
                let mut git = world.git(&git, wiring);
                run(git.current_dir(world.work().join(folder)).args(words), Duration::from_secs(20)).ok()
            };
            let clone = format!("{wiring:?}");
            run_git(".", &["clone", "--quiet", &world.host.url("acme/app.git"), &clone]);
            fs::write(world.work().join(&clone).join("new"), &clone).unwrap();
            run_git(&clone, &["add", "."]);
            run_git(&clone, &["commit", "--quiet", "-m", "Work"]);
            run_git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
        }
        assert_eq!(world.host.dead_shown(), 0);
    }
}

/// Only the kit's commands have their own environment.
#[test]
fn tests_demo_and_benchmark_start_programs_by_the_kit() {
    let own = repository_root().join("tests/kit");
    let folders = ["tests", "broker/tests", "shim/tests", "protocol"].map(|folder| repository_root().join(folder));
    let starts = ["Command", "::new("].concat();
    let mut offenders = Vec::new();
    for path in folders.iter().flat_map(|folder| files_below(folder)) {
        if path.extension().is_none_or(|end| end != "rs") || path.starts_with(&own) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains(&starts));
        offenders.extend(lines.map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim())));
    }
    assert!(
        offenders.is_empty(),
        "call molecule_test_kit::program, or machine_tool for docker and cargo:\n{}",
        offenders.join("\n")
    );
}

#[test]
fn rule57_the_run_prints_the_versions_of_its_programs() {
    let mut versions = machine_tool(repository_root().join("tests/run"));
    let ran = run(versions.arg("--versions"), PATIENCE).ok();
    let printed: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split(' ').collect()).collect();
    assert!(printed.iter().all(|words| words[0] == "version:" && words.len() >= 3), "{ran:?}");
    for name in ["git", "gh", "git-lfs", "ssh", "bwrap", "curl", "docker", "rustc", "linux"] {
        assert!(printed.iter().any(|words| words[1] == name), "no version of {name}: {ran:?}");
    }
    for git in gits() {
        assert!(printed.iter().any(|words| words[1..3] == ["git", &git.version]), "git {}: {ran:?}", git.version);
    }
}
