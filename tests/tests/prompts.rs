//! Real git and its prompts: on a terminal, and in other languages.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use molecule_tests::programs::{Git, gits};
use molecule_tests::wait::poll;
use molecule_tests::world::{Setup, Wiring, World, run};
use nix::pty::openpty;

#[test]
fn r17_a_refused_git_on_a_terminal_ends_and_reads_nothing_from_it() {
    let mut world = World::new(Setup::default());
    world.host.create_repository("acme/app.git");
    world.platform.refuse_connections();
    world.broker.start();
    for git in gits() {
        for wiring in [Wiring::Helper, Wiring::Askpass, Wiring::Both] {
            let said = ls_remote_on_a_terminal(&world, &git, wiring);
            assert!(said.contains("ended with 128"), "git {} {wiring:?}: {said}", git.version);
            assert!(said.contains("left: typed ahead"), "git {} {wiring:?}: {said}", git.version);
        }
    }
}

/// What was typed ahead must still be there for a shell that reads it after
/// git: whoever reads the terminal before takes it away.
fn ls_remote_on_a_terminal(world: &World, git: &Git, wiring: Wiring) -> String {
    let script = r#"
        began=$(date +%s%N)
        "$GIT" ls-remote "$URL" 2>&1
        echo "ended with $? after $(( ($(date +%s%N) - began) / 1000000 )) ms"
        IFS= read -r line </dev/tty
        echo "left: $line"
    "#;
    let pty = openpty(None, None).unwrap();
    let mut master = File::from(pty.master);
    master.write_all(b"typed ahead\n").unwrap();
    let wired = world.git(git, wiring);
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "--wait", "sh", "-c", script]).env_clear().current_dir(world.work());
    for (name, value) in wired.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.env("GIT", &git.path).env("URL", world.host.url("acme/app.git"));
    let mut child = shell.stdin(Stdio::from(pty.slave)).stdout(Stdio::piped()).spawn().unwrap();
    let ended = poll(Duration::from_secs(15), || child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().unwrap();
        panic!("git {} {wiring:?} waits for the terminal", git.version);
    }
    let said = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    let took = said.split("after ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(took.parse::<u64>().unwrap() < 2000, "git {} {wiring:?} took {took} ms", git.version);
    said
}

#[test]
fn r18_any_language_gets_the_same_answers() {
    let world = World::started(Setup::default());
    world.host.create_repository("acme/app.git");
    for git in gits() {
        for locale in ["C", "C.UTF-8", "de_DE.UTF-8", "ja_JP.UTF-8", "tr_TR.UTF-8", "no_such"] {
            let mut command = world.git(&git, Wiring::Askpass);
            command.args(["ls-remote", &world.host.url("acme/app.git")]);
            command.env("LC_ALL", locale).env("LANGUAGE", "de:ja:tr");
            let ran = run(&mut command, Duration::from_secs(10));
            assert!(ran.success(), "git {} in {locale}: {ran:?}", git.version);
        }
    }
}
