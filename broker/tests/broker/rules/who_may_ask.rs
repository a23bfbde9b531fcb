//! D: the users that may ask, and the requests that they can make.

use std::os::unix::net::UnixStream;

use crate::kit::wire::{self, DENIED, GET};
use crate::kit::world::FAST;
use crate::kit::{Ability, DaemonWorld, can, text, wait_for};
use crate::rules::strangers::{self, ask_as};

#[test]
fn rule24_another_user_gets_one_fixed_line_whatever_it_sends() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let world = DaemonWorld::settled();
    for request in ["", GET, "molecule/1 status\n\n", "GET / HTTP/1.1\r\n\r\n", "molecule/1 reload\n\n"] {
        assert_eq!(ask_as(12345, &world.socket(), request), DENIED, "{request:?}");
    }
    assert!(world.get().starts_with("molecule/1 ok\n"));
}

#[test]
fn rule24_many_denials_are_one_log_line_with_both_users() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let world = DaemonWorld::settled();
    for _ in 0..5 {
        ask_as(12345, &world.socket(), GET);
    }
    let log = world.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("denied a user")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("uid=12345") && lines[0].contains("expected=\"0\""), "{}", lines[0]);
    assert!(lines[0].contains("MOLECULE_BROKER_ALLOW_USERS"), "{}", lines[0]);
}

#[test]
fn rule24_the_overflow_uid_is_refused_unless_it_is_listed() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let mut world = DaemonWorld::settled();
    assert_eq!(ask_as(65534, &world.socket(), GET), DENIED);
    world.stop();
    world.set("MOLECULE_BROKER_ALLOW_USERS", "65534");
    world.start();
    assert!(ask_as(65534, &world.socket(), GET).starts_with("molecule/1 ok\n"));
    assert_eq!(ask_as(12345, &world.socket(), GET), DENIED);
}

#[test]
fn rule24_a_daemon_with_the_overflow_uid_doesnt_admit_it() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let mut world = DaemonWorld::fast();
    let overflow = Some(65534);
    std::os::unix::fs::chown(world.path("run"), overflow, overflow).unwrap();
    world.spawn_through(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    wait_for("the socket", || UnixStream::connect(world.socket()).ok());
    let status = world.broker(&["status"]);
    assert!(text(&status.stderr).contains("uid 65534 serves"), "a client mustn't trust a daemon of the overflow uid");
    assert_eq!(ask_as(65534, &world.socket(), GET), DENIED);
    assert!(world.get().starts_with("molecule/1 ok\n"), "root is served");
}

#[test]
fn rule24_the_uid_at_connect_counts() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let world = DaemonWorld::settled();
    assert!(strangers::ask_and_drop_to(12345, &world.socket(), GET).starts_with("molecule/1 ok\n"));
}

#[test]
fn rule24_a_credential_with_own_users_is_refused_to_others() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let mut world = DaemonWorld::fast();
    world.config(&format!(
        "{FAST}[socket]\nallow_users = [\"1001\", \"1002\"]\n[[credential]]\nname = \"github\"\nallow_users = [\"1001\"]\n"
    ));
    world.start();
    assert!(ask_as(1001, &world.socket(), GET).starts_with("molecule/1 ok\n"));
    let refused = ask_as(1002, &world.socket(), GET);
    assert!(refused.starts_with("molecule/1 refused\n") && refused.contains("uid 1002"), "{refused}");
    let refresh = ask_as(1002, &world.socket(), "molecule/1 refresh\nname=github\n\n");
    assert!(refresh.starts_with("molecule/1 refused\n"), "{refresh}");
}

#[test]
fn rule26_an_unknown_verb_is_refused_and_changes_nothing() {
    let mut world = DaemonWorld::settled();
    let before = (world.token(), world.credential("github")["generation"].clone());
    let verbs = [
        "set",
        "store",
        "approve",
        "put",
        "stop",
        "quit",
        "exit",
        "shutdown",
        "kill",
        "read",
        "open",
        "file",
        "config",
        "origins",
        "allow",
        "exec",
        "token",
        "GET",
        "Get",
        "",
        "get status",
        "capability",
        "reject",
        "log",
        "metrics",
    ];
    for verb in verbs {
        let request = format!("molecule/1 {verb}\nprotocol=https\nhost=github.com\npassword=ghs_planted\n\n");
        let answer = world.ask(&request);
        assert!(answer.starts_with("molecule/1 malformed\n"), "{verb:?}: {answer}");
    }
    assert_eq!((world.token(), world.credential("github")["generation"].clone()), before);
    assert_eq!(world.stop().unwrap().code(), Some(0), "the daemon still ran and could be stopped");
}

#[test]
fn rule26_no_key_of_a_request_changes_token_or_scope() {
    let world = DaemonWorld::settled();
    let get = |extra: &str| world.ask(&format!("molecule/1 get\nprotocol=https\nhost=github.com\n{extra}\n\n"));
    let token = world.token();
    let planted = [
        "password=ghs_planted",
        "token=ghs_planted",
        "origins=evil.example",
        "path=/etc/shadow",
        "file=/etc/shadow",
        "url=https://evil.example/",
        "expires_at=2099-01-01T00:00:00Z",
    ];
    for extra in planted {
        let answer = get(extra);
        assert_eq!(wire::password(&answer).map(str::to_owned), token, "{extra}: {answer}");
        assert!(!answer.contains("root:"), "{extra}: {answer}");
    }
    let elsewhere = "molecule/1 get\nprotocol=https\nhost=evil.example\n\n";
    assert!(world.ask(elsewhere).starts_with("molecule/1 silent\n"));
}

#[test]
fn a_reload_by_a_user_who_may_only_ask_is_refused() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let mut world = DaemonWorld::fast();
    world.set("MOLECULE_BROKER_ALLOW_USERS", "12345");
    world.start();
    let answer = ask_as(12345, &world.socket(), "molecule/1 reload\n\n");
    assert!(answer.starts_with("molecule/1 refused\n") && answer.contains("only root"), "{answer}");
    assert!(!world.log().contains("configuration reloaded"));
    assert!(ask_as(12345, &world.socket(), GET).starts_with("molecule/1 ok\n"));
}

#[test]
fn control_commands_tell_a_denied_user_the_remedy() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let world = DaemonWorld::settled();
    let mut command = world.command(&world.reachable_broker());
    let output = std::os::unix::process::CommandExt::uid(&mut command, 12345).arg("token").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    let said = text(&output.stderr);
    assert!(said.contains("uid 12345") && said.contains("MOLECULE_BROKER_ALLOW_USERS"), "{said}");
}

/// The daemon's own user may operate it, though it isn't root.
#[test]
fn the_daemons_own_user_may_reload_it() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let mut world = DaemonWorld::fast();
    std::os::unix::fs::chown(world.path("run"), Some(998), Some(998)).unwrap();
    world.start_through(&["setpriv", "--reuid=998", "--regid=998", "--clear-groups"]);
    assert_eq!(ask_as(998, &world.socket(), "molecule/1 reload\n\n"), "molecule/1 ok\n\n");
}
