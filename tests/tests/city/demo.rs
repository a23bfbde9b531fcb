//! The demo as a person starts it, on machines that differ from its author's.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use molecule_tests::only_in_full_run;
use molecule_tests::programs::{first_git, programs};
use molecule_tests::world::{RunResult, run};
use molecule_tests::{Ability, can, program};

const PATIENCE: Duration = Duration::from_secs(120);
/// Long enough for one push of each agent, and for tokens of both forms.
const SHORT: [&str; 5] = ["--calm", "--seconds", "12", "--life", "8"];

fn demo() -> Command {
    let mut demo = program(env!("CARGO_BIN_EXE_demo"));
    demo.args(SHORT).env("MOLECULE_BIN_DIR", programs().broker.parent().unwrap());
    demo
}

/// Runs one demo at a time: each takes all cores of a machine.
fn run_alone(command: &mut Command) -> RunResult {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    run(command, PATIENCE)
}

/// Checks that the demo's own checks passed, and that it names tokens and
/// pushes.
#[track_caller]
fn went_well(ran: &RunResult) {
    assert!(ran.success() && ran.stdout.ends_with("All well.\n"), "{}\n{}", ran.stdout, ran.stderr);
    let line = ran.stdout.lines().find(|line| line.contains(" pushes over 1 MiB; ")).unwrap();
    let numbers: Vec<u32> = line.split([' ', ';', ',']).filter_map(|word| word.parse().ok()).collect();
    let [large, 1, old, 40, new, shortest, longest] = numbers[..] else { panic!("{line}") };
    assert!(large > 0 && old > 0 && new > 0 && shortest > 400 && longest < 600, "{line}");
}

/// The caller's own repository. Nothing may be added to it.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main", "."]);
        repository.git(&[
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@b",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "Mine",
        ]);
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = program(first_git().unwrap());
        git.args(arguments).current_dir(self.path()).env("HOME", self.path());
        run(&mut git, PATIENCE).ok().stdout
    }

    /// Returns branches, index, configuration and every object.
    fn state(&self) -> String {
        let config = fs::read_to_string(self.path().join(".git/config")).unwrap();
        let listed = ["for-each-ref", "status --porcelain", "count-objects -v"];
        listed.iter().fold(config, |state, words| state + &self.git(&words.split(' ').collect::<Vec<_>>()))
    }
}

/// The environment that git exports to a hook. A hook may start the demo.
#[test]
fn the_demo_leaves_the_callers_repository_alone() {
    let mine = Repository::new();
    let before = mine.state();
    let folder = mine.path().join(".git");
    let hooked = mine.path().join("gitconfig");
    fs::write(&hooked, "[core]\n\tfsync = nonsense\n").unwrap();
    let ran = run_alone(
        demo()
            .current_dir(mine.path())
            .env("GIT_DIR", &folder)
            .env("GIT_WORK_TREE", mine.path())
            .env("GIT_INDEX_FILE", folder.join("index"))
            .env("GIT_OBJECT_DIRECTORY", folder.join("objects"))
            .env("GIT_CONFIG_GLOBAL", &hooked)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_PARAMETERS", "'core.bare'='nonsense'"),
    );
    fs::remove_file(&hooked).unwrap();
    went_well(&ran);
    assert_eq!(mine.state(), before);
}

#[test]
fn the_demo_runs_below_a_long_temporary_folder() {
    if !only_in_full_run("the demo below a long folder") {
        return;
    }
    let short = tempfile::tempdir().unwrap();
    let long = short.path().join("x".repeat(90));
    fs::create_dir(&long).unwrap();
    went_well(&run_alone(demo().env("TMPDIR", &long)));
}

/// Runs the script in a mount namespace in which the usual gits can't be
/// executed.
fn without_gits(script: &str) -> Option<RunResult> {
    if !can(&[Ability::MountNamespace]) {
        return None;
    }
    let mut shell = program("unshare");
    let hide = "for git in /usr/bin/git /usr/local/bin/git /opt/git/bin/git; do \
                [ -e $git ] && { mount --bind /dev/null $git || exit 90; }; done; ";
    shell.args(["--mount", "sh", "-c", &format!("{hide}{script}"), "sh", env!("CARGO_BIN_EXE_demo")]);
    shell
        .args(SHORT)
        .env("MOLECULE_BIN_DIR", programs().broker.parent().unwrap())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Some(run_alone(&mut shell))
}

#[test]
fn without_git_the_demo_says_what_to_install() {
    if !only_in_full_run("the demo without git") {
        return;
    }
    let Some(ran) = without_gits("exec \"$@\"") else { return };
    assert_eq!(ran.code(), Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("demo: there is no git in /usr/bin") && ran.stderr.contains("install"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn a_git_elsewhere_on_path_is_found_by_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let git = folder.path().join("git");
    fs::copy(first_git().unwrap(), &git).unwrap();
    let Some(ran) = without_gits(&format!("PATH={}:$PATH exec \"$@\"", folder.path().display())) else { return };
    went_well(&ran);
}
