//! Sinks and hooks after each refresh, with the real daemon and its runner
//! process.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit;
use crate::kit::{Ability, BROKER, DaemonWorld, can, set_mode, text, wait_for};

/// Creates a world with this configuration file.
fn world(config: &str) -> DaemonWorld {
    let mut world = DaemonWorld::new();
    world.config(config);
    world
}

/// Installs a `gh` that records how it was called.
fn note_gh(world: &DaemonWorld) {
    let notes = world.path("notes");
    fs::create_dir(&notes).unwrap();
    set_mode(&notes, 0o777);
    let script = format!(
        "cd {}; {{ echo \"args $*\"; echo \"uid $(id -u)\"; echo \"groups $(id -G)\"; echo \"stdin $(cat)\"; env; }} > draft; mv draft gh",
        notes.display()
    );
    world.script("bin/gh", &script);
}

#[test]
fn after_each_refresh_gh_gets_the_token_on_stdin_alone() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let mut world = world("[sinks]\nuser = \"daemon\"\n");
    note_gh(&world);
    world.set("MOLECULE_BROKER_SINKS", "gh");
    world.set("GH_TOKEN", "ghs_frozen");
    world.start();
    assert!(world.broker(&["refresh"]).status.success());
    let note = wait_for("gh's call", || fs::read_to_string(world.path("notes/gh")).ok());
    assert!(note.contains("args auth login --with-token --hostname github.com\n"), "{note}");
    assert!(note.contains("stdin ghs_minted_") && note.contains("uid 1\n") && note.contains("groups 1\n"), "{note}");
    assert!(
        !note.contains("GH_TOKEN") && !note.contains("GITHUB_TOKEN") && note.matches("ghs_").count() == 1,
        "{note}"
    );
    assert!(note.contains("HOME=/usr/sbin"), "{note}");
}

#[test]
fn the_token_file_is_the_agents_own_and_closed_to_others() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let mut world = world("");
    let home = world.path("agent");
    fs::create_dir(&home).unwrap();
    set_mode(&home, 0o700);
    chown(&home, Some(12345), Some(12345)).unwrap();
    let file = home.join(".gh_token");
    let config = format!("[sinks]\nuser = \"12345\"\nfile = \"{}\"\n", file.display());
    world.config(&config);
    world.start();
    assert!(world.broker(&["refresh"]).status.success());
    let token = wait_for("the file", || fs::read_to_string(&file).ok());
    assert!(token.starts_with("ghs_minted_"), "{token}");
    let there = fs::metadata(&file).unwrap();
    assert_eq!((there.uid(), there.gid(), there.mode() & 0o7777), (12345, 12345, 0o600));
    assert!(world.broker(&["refresh"]).status.success());
    wait_for("the newer token", || fs::read_to_string(&file).ok().filter(|newer| *newer != token));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "no other file is left");
}

#[test]
fn a_failing_sink_is_logged_without_the_token() {
    if nix::unistd::User::from_uid(nix::unistd::geteuid()).is_ok_and(|user| user.is_none()) {
        return kit::skip("gh's login: this user isn't in the user database, so it has no home");
    }
    let mut world = world("[sinks]\nfile = \"/nonexistent/token\"\ngh = true\n");
    world.script("bin/gh", "echo \"bad token $(cat)\" >&2; exit 1");
    world.start();
    assert!(world.broker(&["refresh"]).status.success());
    wait_for("the warning", || world.log().contains("gh failed").then_some(()));
    let log = world.log();
    assert!(log.contains("/nonexistent/token") && log.contains("bad token [redacted]"), "{log}");
    assert!(!log.contains("ghs_minted"), "{log}");
    assert!(text(&world.broker(&["token"]).stdout).starts_with("ghs_minted_"));
}

#[test]
fn hooks_are_told_what_happened_and_never_the_token() {
    let mut world = world("");
    let notes = world.path("notes");
    let hook = world.script(
        "hook",
        &format!(
            "{{ echo \"event $1 $MOLECULE_CREDENTIAL $MOLECULE_OUTCOME $MOLECULE_CLASS\"; env; }} >> {}",
            notes.display()
        ),
    );
    let config =
        format!("[hooks]\non_refresh = [\"{0}\", \"good\"]\non_failure = [\"{0}\", \"bad\"]\n", hook.display());
    world.config(&config);
    world.set("GITHUB_TOKEN", "ghs_frozen");
    world.start();
    assert!(world.broker(&["refresh"]).status.success());
    let seen = || fs::read_to_string(&notes).unwrap_or_default();
    wait_for("the refresh hook", || seen().contains("event good github refreshed \n").then_some(()));
    world.platform.fails();
    assert_eq!(world.broker(&["refresh"]).status.code(), Some(1));
    wait_for("the failure hook", || seen().contains("event bad github failed http_5xx\n").then_some(()));
    assert!(!seen().contains("ghs_"), "{}", seen());
}

/// An image sets `HOME` and `PATH` for its agent, but the daemon runs as another
/// user.
#[test]
fn a_neighbours_programs_run_in_no_hook_and_no_command() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let mut world = world("");
    let notes = world.path("notes");
    let theirs = world.path("theirs");
    fs::create_dir(&theirs).unwrap();
    let tool = world.script("theirs/date", &format!("echo theirs >> {}", notes.display()));
    chown(&theirs, Some(12345), None).unwrap();
    let ask = "date > /dev/null; echo \"$HOME at $(pwd)\"";
    let hook = world.script("hook", &format!("{{ {ask}; }} >> {}", notes.display()));
    let command = world.script("mint", &format!("{{ {ask}; }} >> {}; echo minted", notes.display()));
    world.config(&format!(
        "[hooks]\non_refresh = [\"{}\"]\n[[credential]]\nname = \"forge\"\norigins = [\"git.example\"]\nusername = \"u\"\n\
         source = {{ command = [\"{}\"] }}\n",
        hook.display(),
        command.display()
    ));
    world.set("HOME", theirs.display().to_string());
    let path = format!("{}:{}", theirs.display(), world.env["PATH"]);
    world.set("PATH", path);
    world.start();
    assert_eq!(text(&world.broker(&["token", "--host", "git.example"]).stdout), "minted\n", "{}", world.log());
    let seen = || fs::read_to_string(&notes).unwrap_or_default();
    wait_for("a hook and a command", || (seen().lines().count() >= 2).then_some(()));
    assert!(seen().lines().all(|line| line == "/root at /"), "{}", seen());
    assert!(tool.exists());
}

#[test]
fn a_socket_named_on_the_command_line_alone_is_known_to_hooks() {
    let mut world = world("");
    let notes = world.path("notes");
    let hook = world.script("hook", &format!("echo \"at $MOLECULE_BROKER_SOCKET\" >> {}", notes.display()));
    world.config(&format!("[hooks]\non_refresh = [\"{}\"]\n", hook.display()));
    let socket = world.env.remove("MOLECULE_BROKER_SOCKET").unwrap();
    world.spawn_serve(&["--socket", &socket]);
    let ask = || world.command(BROKER).args(["--socket", &socket, "refresh"]).status().unwrap().success();
    wait_for("a refresh", || ask().then_some(()));
    let told = format!("at {socket}\n");
    wait_for("the hook", || fs::read_to_string(&notes).is_ok_and(|notes| notes.contains(&told)).then_some(()));
}

#[test]
fn a_command_source_runs_in_the_runner_and_can_be_reloaded() {
    let mut world = world("");
    let command = |word: &str| {
        format!(
            "[[credential]]\nname = \"forge\"\norigins = [\"git.example.com\"]\nusername = \"u\"\n[credential.source]\ncommand = [\"/bin/echo\", \"{word}\"]\n"
        )
    };
    world.config(&command("first"));
    world.start();
    let token = || text(&world.broker(&["token", "--host", "git.example.com"]).stdout);
    assert_eq!(token(), "first\n");
    world.rewrite_config(&command("second"));
    assert!(world.broker(&["reload"]).status.success(), "{}", world.log());
    wait_for("the new command's output", || {
        world.broker(&["refresh", "forge"]);
        (token() == "second\n").then_some(())
    });
}

#[test]
fn the_runner_starts_if_needed_and_ends_with_the_daemon() {
    let mut plain = DaemonWorld::new();
    plain.start();
    assert_eq!(children(plain.pid()), Vec::<u32>::new());
    let mut world = world("[sinks]\ngh = true\n");
    world.start();
    let runner = children(world.pid());
    assert_eq!(runner.len(), 1);
    world.stop();
    wait_for("the runner's end", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", runner[0]));
        stat.map_or(Some(()), |stat| stat.contains(") Z ").then_some(()))
    });
}

#[test]
fn a_dead_runner_is_replaced_and_the_token_stays() {
    let world = world("[sinks]\ngh = true\n");
    note_gh(&world);
    let supervised = world.supervise(&[]);
    let daemon = supervised.daemon();
    let token = world.printed_token();
    assert!(token.is_some(), "{}", world.log());
    let runner = children(daemon.as_raw() as u32)[0];
    kill(Pid::from_raw(runner as i32), Signal::SIGKILL).unwrap();
    let next = supervised.daemon_but(Some(daemon));
    assert_eq!(children(next.as_raw() as u32).len(), 1);
    assert_eq!(world.printed_token(), token);
    assert!(world.log().contains("runner process") && world.log().contains("starts both again"), "{}", world.log());
}

#[test]
fn a_stopped_runner_costs_one_refresh_its_time_limit() {
    let mut world = DaemonWorld::new();
    let minter = world.script("bin/minter", "echo from-a-command");
    world.config(&format!(
        "[refresh]\nattempt_timeout = \"1s\"\n[[credential]]\nname = \"forge\"\norigins = [\"git.example\"]\n\
         username = \"x\"\nsource = {{ command = [\"{}\"] }}\n",
        minter.display()
    ));
    world.start();
    wait_for("the first token", || world.broker(&["token", "--host", "git.example"]).status.success().then_some(()));
    let runner = Pid::from_raw(children(world.pid())[0] as i32);
    kill(runner, Signal::SIGSTOP).unwrap();
    let failed = world.broker(&["refresh", "forge"]);
    kill(runner, Signal::SIGCONT).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("gave no answer within"), "{}", text(&failed.stderr));
    assert!(world.broker(&["token", "--host", "git.example"]).status.success());
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn refresh_with_login_logs_gh_in_and_writes_the_token_file() {
    let mut world = DaemonWorld::new();
    note_gh(&world);
    world.start();
    let done = world.broker(&["refresh", "--login"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let kept = fs::read_to_string(world.path("home/.gh_token")).unwrap();
    assert!(fs::read_to_string(world.path("notes/gh")).unwrap().contains(&format!("stdin {kept}")));
    world.platform.fails();
    let failed = world.broker(&["refresh", "--login"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("http_5xx"), "{}", text(&failed.stderr));
}
