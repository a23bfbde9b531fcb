//! `supervise` with unexpected files, pipes and owners.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Stdio;

use crate::kit;
use crate::kit::{Ability, DaemonWorld, can, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

fn pipe_at(path: &Path) {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::from_bits_truncate(0o644)).unwrap();
}

#[test]
fn a_pipe_in_place_of_the_bearer_keeps_no_daemon_from_starting() {
    if !can(&[Ability::BecomeOthers, Ability::MountNamespace]) {
        return;
    }
    let world = DaemonWorld::new();
    pipe_at(&world.path("configs/.auth_token"));
    let supervised = world.supervise_by(&world.with_own_user(), &["--user", "daemon"]);
    supervised.daemon();
    assert!(world.log().contains("isn't a regular file"), "{}", world.log());
}

#[test]
fn a_configuration_that_is_a_pipe_is_reported_and_tried_again() {
    let mut world = DaemonWorld::new();
    world.config("");
    pipe_at(&world.path("config.toml"));
    let supervised = world.supervise(&["--", "sleep", "600"]);
    wait_for("the fault", || world.log().contains("isn't a regular file").then_some(()));
    fs::remove_file(world.path("config.toml")).unwrap();
    world.rewrite_config("");
    supervised.daemon();
}

/// Reading hangs on the user database here, which is a pipe without a writer.
#[test]
fn a_configuration_that_hangs_is_given_up_and_read_again() {
    if !can(&[Ability::MountNamespace]) {
        return;
    }
    let world = DaemonWorld::new();
    pipe_at(&world.path("passwd"));
    let supervised = world.supervise_by(&world.with_passwd(&world.path("passwd")), &["--", "sleep", "600"]);
    wait_for("the limit", || world.log().contains("took longer than 10s").then_some(()));
    let planning = || {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", supervised.pid())).unwrap();
        let mut words =
            children.split_whitespace().map(|pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default());
        words.any(|words| kit::text(&words).contains("\0plan"))
    };
    wait_for("the next attempt", || planning().then_some(()));
}

/// The child prints the whole plan and then never ends.
#[test]
fn a_planning_child_that_doesnt_end_is_given_up() {
    if !molecule_test_kit::only_in_full_run("a plan child that doesn't end") {
        return;
    }
    let alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=exit_group"];
    let late = ["-e", "inject=exit_group:delay_enter=600000000:when=1"];
    if !can(&[Ability::PidNamespace, Ability::FailingCalls]) {
        return;
    }
    let world = DaemonWorld::new();
    let _supervised = world.supervise_by(&[&alone[..], &strace, &late].concat(), &["--", "touch", "there"]);
    wait_for("the limit", || world.log().contains("took longer than 10s").then_some(()));
    wait_for("the command", || world.path("repo/there").exists().then_some(()));
}

/// Supervisor and daemon write to the same log, whose reader is gone.
#[test]
fn a_log_without_a_reader_ends_neither_daemon_nor_command() {
    let world = DaemonWorld::new();
    let mut command = world.command(kit::BROKER);
    command
        .args(["supervise", "--", "sh", "-c", "touch there; sleep 600"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut supervisor = command.spawn().unwrap();
    drop(supervisor.stderr.take());
    wait_for("the command", || world.path("repo/there").exists().then_some(()));
    for _ in 0..3 {
        let daemon = wait_for("a daemon", || world.daemon());
        kill(daemon, Signal::SIGKILL).unwrap();
        wait_for("the next daemon", || world.daemon().filter(|pid| *pid != daemon));
    }
    let ended = supervisor.try_wait().unwrap();
    let _ = kill(Pid::from_raw(supervisor.id() as i32), Signal::SIGTERM);
    supervisor.wait().unwrap();
    assert_eq!(ended, None, "the supervisor and its command must go on");
}

#[test]
fn a_daemon_that_must_run_as_root_says_so() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    for owner in [0, 65534] {
        let world = DaemonWorld::new();
        chown(world.path("configs"), Some(owner), None).unwrap();
        let supervised = world.supervise(&["--", "sleep", "600"]);
        let daemon = supervised.daemon();
        assert_eq!(fs::metadata(format!("/proc/{daemon}/stat")).unwrap().uid(), 0);
        assert!(world.log().contains("the daemon runs as root"), "{}", world.log());
        assert_eq!(world.log().contains("name who may ask in"), owner == 65534, "{}", world.log());
    }
}
