//! Output for people: on a terminal, through a pipe, and with `--watch`.

use std::io::Read;
use std::process::Stdio;

use crate::kit;
use crate::kit::{DaemonWorld, text, wait_for};

fn serving() -> DaemonWorld {
    let mut world = DaemonWorld::new();
    world.start();
    world.broker(&["token"]);
    world
}

/// Returns what a command prints on a terminal of this width.
fn on_terminal(world: &DaemonWorld, width: u32, command: &str) -> String {
    let inside = format!("stty rows 30 cols {width}; exec {} {command}", kit::BROKER);
    let out = world.command("script").args(["-qec", &inside, "/dev/null"]).env("TERM", "xterm").output();
    text(&out.expect("script, of util-linux, is installed").stdout)
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    let mut world = serving();
    assert!(!text(&world.broker(&["status"]).stdout).contains('\x1b'));
    assert!(on_terminal(&world, 100, "status").contains("\x1b[32mhealthy\x1b[0m"));
    world.set("NO_COLOR", "1");
    assert!(!on_terminal(&world, 100, "status").contains('\x1b'));
}

#[test]
fn lines_end_where_the_terminal_does() {
    let mut world = DaemonWorld::new();
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", "pw");
    world.set("NO_COLOR", "1");
    world.start();
    let shown = on_terminal(&world, 60, "status");
    assert!(
        shown.contains("MOLECULE_BROKER_PERSONA_HOSTS") && shown.lines().all(|line| line.trim_end().len() <= 60),
        "{shown}"
    );
}

#[test]
fn watch_repeats_the_status_until_its_reader_is_gone() {
    let world = serving();
    let mut watch = world.command(kit::BROKER).args(["status", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = String::new();
    let mut pipe = watch.stdout.take().unwrap();
    while seen.matches("github: ok").count() < 2 {
        let mut some = [0; 4096];
        let read = pipe.read(&mut some).unwrap();
        assert!(read > 0, "`status --watch` ended on its own: {seen}");
        seen.push_str(&text(&some[..read]));
    }
    drop(pipe);
    wait_for("the end of `status --watch`", || watch.try_wait().unwrap());
}
