//! `doctor` in a second terminal without the daemon's environment: the daemon's
//! own settings count.

use crate::kit::doctor::{all_good, doctor, found, healthy};
use crate::kit::platform::Answer;
use crate::kit::{DaemonWorld, text};

/// Leaves the socket's path as the only setting in the terminal's environment.
fn leave_the_terminal_bare(world: &mut DaemonWorld) {
    for name in ["PLATFORM_URL", "WORKSPACE_ID", "CONFIGS_DIR", "MOLECULE_BROKER_CONFIG", "MOLECULE_BROKER_HOSTS"] {
        world.env.remove(name);
    }
}

#[test]
fn a_second_terminal_finds_a_healthy_daemon_good() {
    let mut world = healthy();
    leave_the_terminal_bare(&mut world);
    all_good(&world);
    let said = text(&doctor(&world).stdout);
    assert!(said.contains("ok   platform      the daemon asks it"), "{said}");
}

#[test]
fn a_daemon_without_a_platform_is_told_from_one_with() {
    let mut world = healthy();
    world.stop();
    let url = world.env.remove("PLATFORM_URL").unwrap();
    world.set("GH_TOKEN", "ghs_frozen");
    world.start();
    world.env.remove("GH_TOKEN");
    found(&doctor(&world), "platform", "no platform is configured");
    world.set("PLATFORM_URL", url);
    found(&doctor(&world), "platform", "the daemon has none");
}

#[test]
fn the_daemons_hosts_and_sinks_count_and_not_the_terminals() {
    let mut world = healthy();
    world.stop();
    // The user database's home is the developer's own: the file goes elsewhere.
    world.config(&format!("[sinks]\nfile = \"{}\"\n", world.path("home/.gh_token").display()));
    world.set("MOLECULE_BROKER_HOSTS", "git.example");
    world.set("MOLECULE_BROKER_SINKS", "file");
    world.start();
    world.broker(&["token"]);
    leave_the_terminal_bare(&mut world);
    world.env.remove("MOLECULE_BROKER_SINKS");
    std::fs::write(world.path("home/.gh_token"), "kept by the sink").unwrap();
    world.git(&["remote", "add", "origin", "https://git.example/o/r"]);
    let line = found(&doctor(&world), "git-helper", "git.example");
    assert!(line.ends_with("molecule-broker setup-git --global --host git.example"), "{line}");
    assert!(world.broker(&["setup-git", "--global", "--host", "git.example"]).status.success());
    all_good(&world);
}

#[test]
fn the_daemons_file_is_read_where_the_terminal_names_none() {
    let mut world = healthy();
    world.stop();
    world.config("[socket]\nmode = \"0600\"\n");
    world.start();
    world.broker(&["token"]);
    let file = world.env["MOLECULE_BROKER_CONFIG"].clone();
    leave_the_terminal_bare(&mut world);
    all_good(&world);
    let said = text(&doctor(&world).stdout);
    assert!(said.contains(&format!("good ({file})")), "{said}");
}

#[test]
fn an_error_that_is_over_is_over() {
    let mut world = healthy();
    world.platform.answer(Answer::Say(503, String::new(), r#"{"error":"no"}"#.into()));
    world.broker(&["refresh"]);
    found(&doctor(&world), "credential", "http_5xx");
    world.platform.recovers();
    assert!(world.broker(&["refresh"]).status.success());
    leave_the_terminal_bare(&mut world);
    all_good(&world);
    let said = text(&doctor(&world).stdout);
    assert!(!said.contains("http_5xx") && said.contains("github is ok\n"), "{said}");
}
