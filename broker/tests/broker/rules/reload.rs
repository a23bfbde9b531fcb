//! SIGHUP and `reload`: the daemon takes the new configuration or keeps the old.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use crate::kit::wire::{self, GET, connect};
use crate::kit::world::FAST;
use crate::kit::{DaemonWorld, text, wait_for};

/// Starts a daemon whose configuration names an audit file.
fn audited() -> DaemonWorld {
    let mut world = DaemonWorld::fast();
    world.rewrite_config(&with_audit(&world, "audit"));
    world.start();
    world.settle();
    world
}

fn with_audit(world: &DaemonWorld, name: &str) -> String {
    format!("{FAST}[log]\naudit_file = \"{}\"\n", world.path(name).display())
}

const BROKEN: &str = "[refresh]\nintervall = \"45m\"\njitter = 7\n";

#[test]
fn a_reload_of_a_broken_file_names_each_fault() {
    let world = DaemonWorld::settled();
    let (token, asked, before) = (world.token(), world.platform.count(), world.credential("github"));
    world.rewrite_config(BROKEN);
    let refused = world.broker(&["reload"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("config.toml:2") && said.contains("intervall"), "{said}");
    assert!(said.contains("config.toml:3") && said.contains("jitter"), "{said}");
    assert_eq!(world.token(), token);
    assert_eq!((world.platform.count(), &world.credential("github")["origins"]), (asked, &before["origins"]));
    let next = world.credential("github")["next_refresh_in_s"].as_u64().unwrap();
    assert!(next > 600, "the schedule must be kept: {next}");
}

#[test]
fn sighup_with_a_broken_file_is_logged_and_service_goes_on() {
    let world = DaemonWorld::settled();
    let token = world.token();
    world.rewrite_config(BROKEN);
    world.signal(Signal::SIGHUP);
    wait_for("the log", || world.log().contains("not reloaded, the running one stays").then_some(()));
    assert!(world.log().contains("intervall"), "{}", world.log());
    assert_eq!(world.token(), token);
    world.rewrite_config(FAST);
    world.signal(Signal::SIGHUP);
    wait_for("the reload", || world.log().contains("configuration reloaded").then_some(()));
    assert_eq!(world.token(), token);
}

#[test]
fn a_reload_brings_new_origins_and_users_and_keeps_the_lease() {
    let world = DaemonWorld::settled();
    let (token, asked) = (world.token(), world.platform.count());
    let generation = world.credential("github")["generation"].clone();
    let get = "molecule/1 get\nprotocol=https\nhost=ghe.example.com\n\n";
    assert_eq!(world.ask(get), "molecule/1 silent\n\n");
    world.rewrite_config(&format!("{FAST}[[credential]]\nname = \"github\"\norigins = [\"ghe.example.com\"]\n"));
    assert!(world.broker(&["reload"]).status.success());
    assert_eq!(wire::password(&world.ask(get)).map(str::to_owned), token);
    assert_eq!(world.get(), "molecule/1 silent\n\n", "the old origins must be gone");
    assert_eq!((world.platform.count(), world.credential("github")["generation"].clone()), (asked, generation));
}

#[test]
fn a_reload_reopens_the_audit_file_that_was_moved_away() {
    let world = audited();
    world.get();
    fs::rename(world.path("audit"), world.path("audit.1")).unwrap();
    world.get();
    assert!(!world.path("audit").exists());
    assert!(world.broker(&["reload"]).status.success());
    world.get();
    assert_eq!(fs::read_to_string(world.path("audit")).unwrap().lines().count(), 1);
    assert_eq!(fs::read_to_string(world.path("audit.1")).unwrap().lines().count(), 2);
}

#[test]
fn a_reload_with_another_audit_file_writes_there_from_then_on() {
    let world = audited();
    world.get();
    world.rewrite_config(&with_audit(&world, "other"));
    assert!(world.broker(&["reload"]).status.success());
    world.get();
    assert_eq!(fs::read_to_string(world.path("audit")).unwrap().lines().count(), 1);
    assert_eq!(fs::read_to_string(world.path("other")).unwrap().lines().count(), 1);
}

#[test]
fn a_reload_with_an_unusable_audit_file_changes_nothing() {
    let world = audited();
    let get = "molecule/1 get\nprotocol=https\nhost=ghe.example.com\n\n";
    let nowhere = with_audit(&world, "nowhere/audit");
    world.rewrite_config(&format!("{nowhere}[[credential]]\nname = \"github\"\norigins = [\"ghe.example.com\"]\n"));
    let refused = world.broker(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("nowhere"), "{}", text(&refused.stderr));
    assert_eq!(world.ask(get), "molecule/1 silent\n\n");
    world.get();
    assert_eq!(fs::read_to_string(world.path("audit")).unwrap().lines().count(), 1);
}

#[test]
fn a_reload_takes_another_log_filter() {
    let mut world = DaemonWorld::fast();
    world.set("MOLECULE_BROKER_LOG", "");
    world.rewrite_config(&format!("{FAST}[log]\nfilter = \"error\"\n"));
    world.start();
    wait_for("a token", || world.token());
    assert!(!world.log().contains(" INFO "), "{}", world.log());
    world.rewrite_config(&format!("{FAST}[log]\nfilter = \"info\"\n"));
    assert!(world.broker(&["reload"]).status.success());
    wait_for("a line", || world.log().contains("configuration reloaded").then_some(()));
}

#[test]
fn fifty_reloads_lose_no_request_and_ask_no_platform() {
    let world = DaemonWorld::settled();
    let (asked, done) = (world.platform.count(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = world.get();
                    assert!(answer.starts_with("molecule/1 ok\n"), "{answer}");
                }
            });
        }
        for _ in 0..50 {
            assert_eq!(world.ask("molecule/1 reload\n\n"), "molecule/1 ok\n\n");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(world.platform.count(), asked);
}

/// Starts a daemon without a token, and a caller that waits for the platform's
/// first answer, which is held back.
fn waiting() -> (DaemonWorld, UnixStream) {
    let mut world = DaemonWorld::fast();
    world.rewrite_config(&format!("{FAST}initial_delay = \"1h\"\n"));
    world.platform.hold();
    world.start();
    let mut caller = connect(&world.socket());
    caller.write_all(GET.as_bytes()).unwrap();
    wait_for("the fetch", || (world.platform.count() == 1).then_some(()));
    (world, caller)
}

#[track_caller]
fn is_answered_with_what_is_held(world: &DaemonWorld, mut caller: UnixStream) {
    world.platform.release();
    let answer = wire::rest(&mut caller);
    assert!(wire::password(&answer).is_some(), "{answer}: {}", world.log());
    assert_eq!(wire::password(&answer).map(str::to_owned), world.token(), "the caller must get the token that is held");
}

#[test]
fn a_reload_disturbs_no_refresh_that_is_under_way() {
    let (world, caller) = waiting();
    for _ in 0..3 {
        assert!(world.broker(&["reload"]).status.success());
    }
    is_answered_with_what_is_held(&world, caller);
    assert_eq!(world.platform.count(), 1, "{}", world.log());
}

#[test]
fn a_caller_that_waits_over_a_reload_is_answered() {
    let (world, caller) = waiting();
    world.rewrite_config(&format!("{FAST}interval = \"30m\"\ninitial_delay = \"1h\"\n"));
    assert!(world.broker(&["reload"]).status.success());
    wait_for("the fetch of the new refresh", || (world.platform.count() == 2).then_some(()));
    is_answered_with_what_is_held(&world, caller);
    assert_eq!(world.platform.count(), 2, "{}", world.log());
}

#[test]
fn a_reload_keeps_a_back_off_and_the_count_of_requests() {
    let world = DaemonWorld::settled();
    world.get();
    world.platform.fails();
    world.broker(&["refresh"]);
    let facts = || {
        let status = world.credential("github");
        (status["consecutive_failures"].as_u64().unwrap() > 0, status["requests"].as_u64())
    };
    let before = facts();
    assert!(before.0 && before.1 > Some(0), "{before:?}");
    assert!(world.broker(&["reload"]).status.success());
    assert_eq!(facts(), before);
}
