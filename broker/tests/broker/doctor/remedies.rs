//! `doctor` with untrusted text in its findings and with files that it can't
//! read: its remedies can be copied as printed, and they fit this machine.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};

use crate::kit::doctor::{all_good, doctor, found, healthy};
use crate::kit::platform::Answer;
use crate::kit::{Ability, BROKER, DaemonWorld, can, set_mode, text, wait_for};

/// The text comes from a repository that a user was tricked into cloning.
#[test]
fn a_remedy_runs_no_foreign_text_and_prints_no_escape() {
    let world = healthy();
    let bad = "$(touch pwned-1)`touch pwned-2`;touch pwned-3'\x1b[2Jtouch pwned-4\n";
    let one_line = bad.trim_end();
    world.git(&["config", "remote.a.url", &format!("https://u:p@github.com/{one_line}")]);
    world.git(&["config", &format!("remote.{one_line}.url"), "https://u:p@github.com/o/r"]);
    world.git(&["config", &format!("http.https://github.com/{one_line}.extraheader"), "Authorization: x y"]);
    world.git(&["config", "--add", "credential.helper", bad]);
    world.git(&["config", "core.askPass", &format!("/no/{bad}")]);
    for url in [format!("git@github.com:{one_line}"), format!("--file={one_line}@github.com:o/r")] {
        world.git(&["config", "--add", "branch.b.remote", &url]);
        world.git(&["config", "--file", ".gitmodules", "--add", "submodule.s.url", &url]);
    }
    world.git(&["config", &format!("url.https://u:p@github.com/{one_line}.insteadOf"), one_line]);
    world.git(&["config", &format!("url.git@github.com:{one_line}.pushInsteadOf"), "https://github.com/"]);
    fs::write(world.path("home/.netrc"), format!("machine github.com login {one_line}\ndefault {one_line}\n")).unwrap();
    let included = world.path(&format!("repo/{}", one_line.replace('/', "")));
    fs::write(&included, "[credential]\n\thelper = store\n").unwrap();
    world.git(&["config", "--add", "include.path", included.to_str().unwrap()]);

    let out = doctor(&world);
    for check in ["git-helper", "git-token", "git-ssh", "askpass", "netrc"] {
        found(&out, check, "");
    }
    let shown = text(&out.stdout);
    assert!(
        !shown.contains('\x1b') && shown.lines().all(|line| ["ok  ", "WARN", "FAIL"].contains(&&line[..4])),
        "{shown}"
    );
    for remedy in shown.lines().filter_map(|line| line.split_once("; remedy: ")).map(|(_, remedy)| remedy) {
        // A remedy that isn't a command fails or does nothing.
        world.command("sh").args(["-c", remedy]).output().unwrap();
    }
    let there =
        |folder: &str| fs::read_dir(world.path(folder)).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let ran = there("repo").into_iter().chain(there("home")).any(|name| name.to_string_lossy().starts_with("pwned"));
    assert!(!ran, "{shown}");
}

#[test]
fn a_remedy_removes_the_login_from_a_remote_with_quotes() {
    let world = healthy();
    world.git(&["config", "remote.it's.url", "https://u:p@github.com/o/a b'c"]);
    let line = found(&doctor(&world), "git-token", "carries a login");
    let remedy = line.rsplit("remedy: ").next().unwrap();
    assert!(world.command("sh").args(["-c", remedy]).status().unwrap().success(), "{remedy}");
    let url = world.command("git").args(["config", "remote.it's.url"]).output().unwrap();
    assert_eq!(text(&url.stdout), "https://github.com/o/a b'c\n");
    all_good(&world);
}

/// The guide for the images recommends this.
#[test]
fn a_bearer_that_only_the_daemon_can_read_is_good() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let mut world = healthy();
    world.set("MOLECULE_BROKER_ALLOW_USERS", "12345");
    world.stop();
    world.start();
    world.broker(&["token"]);
    set_mode(&world.path("configs/.auth_token"), 0o400);
    let copy = world.path("bin/molecule-broker");
    assert!(world.command("cp").arg("--remove-destination").arg(BROKER).arg(&copy).status().unwrap().success());
    let as_other = ["--reuid=12345", "--regid=12345", "--clear-groups", "molecule-broker", "doctor"];
    let ask = |world: &DaemonWorld| text(&world.command("setpriv").args(as_other).output().unwrap().stdout);
    let line =
        |out: &str| out.lines().find(|line| line.split_whitespace().nth(1) == Some("bearer")).unwrap().to_owned();
    let with = line(&ask(&world));
    assert!(with.starts_with("ok ") && with.contains("only for the daemon"), "{with}");
    world.stop();
    let without = line(&ask(&world));
    assert!(without.starts_with("WARN") && !without.contains("registers"), "{without}");
}

#[test]
fn a_pipe_in_a_files_place_does_not_hold_doctor_up() {
    let world = healthy();
    let pipes = [".netrc", ".config/gh/hosts.yml"].map(|name| world.path("home").join(name));
    fs::create_dir_all(world.path("home/.config/gh")).unwrap();
    let bearer = world.path("configs/.auth_token");
    fs::remove_file(&bearer).unwrap();
    let made = world.command("mkfifo").args(&pipes).arg(&bearer).status().unwrap();
    assert!(made.success());
    let out = world.command("timeout").args(["20", BROKER, "doctor"]).output().unwrap();
    found(&out, "bearer", "isn't a regular file");
    found(&out, "netrc", "isn't a regular file");
}

#[test]
fn a_stale_credential_has_the_remedy_of_its_error_class() {
    let world = healthy();
    world.platform.answer(Answer::Say(401, String::new(), r#"{"error":"no"}"#.into()));
    world.broker(&["refresh"]);
    let line = found(&doctor(&world), "credential", "github is stale");
    assert!(line.contains("register again"), "{line}");
}

#[test]
fn a_stale_credential_of_a_command_is_not_the_platforms_fault() {
    let mut world = healthy();
    let answer = world.path("answer");
    fs::write(&answer, r#"{"token":"t","expires_at":"2999-01-01T00:00:00Z"}"#).unwrap();
    world.stop();
    world.config(&format!(
        "[[credential]]\nname = \"forge\"\norigins = [\"git.example\"]\nusername = \"u\"\nsource = {{ command = [\"/bin/cat\", \"{}\"] }}\n",
        answer.display()
    ));
    world.start();
    wait_for("the first token", || world.broker(&["token", "--host", "git.example"]).status.success().then_some(()));
    fs::write(&answer, "").unwrap();
    world.broker(&["refresh", "forge"]);
    let line = found(&doctor(&world), "credential", "forge is stale");
    assert!(line.contains("what the message names") && !line.contains("platform"), "{line}");
}

#[test]
fn a_daemon_stopped_by_its_configuration_isnt_to_be_reloaded() {
    let mut world = healthy();
    world.stop();
    world.config("");
    let supervised = world.supervise(&["--", "sleep", "1000"]);
    let daemon = supervised.daemon();
    world.rewrite_config("[log]\nfilter = 3\n");
    kill(daemon, Signal::SIGKILL).unwrap();
    wait_for("a daemon that doesn't start", || world.log().contains("config.toml:2").then_some(()));
    let out = doctor(&world);
    let line = found(&out, "config", "config.toml:2");
    assert!(line.contains("within 30 s") && !line.contains("reload"), "{line}");
    let line = found(&out, "socket", "didn't answer");
    assert!(line.contains("within 30 s") && !line.contains("serve"), "{line}");
}

#[test]
fn a_socket_path_that_only_the_file_names_is_reported() {
    let mut world = healthy();
    world.stop();
    let elsewhere: PathBuf = world.path("run/other.sock");
    world.config(&format!("[socket]\npath = \"{}\"\n", elsewhere.display()));
    world.env.remove("MOLECULE_BROKER_SOCKET");
    let line = found(&doctor(&world), "socket-path", "other.sock");
    assert!(line.ends_with(&format!("MOLECULE_BROKER_SOCKET={}", elsewhere.display())), "{line}");
    world.set("MOLECULE_BROKER_SOCKET", elsewhere.display().to_string());
    world.start();
    world.broker(&["token"]);
    all_good(&world);
}

#[test]
fn an_impossible_socket_group_is_named_and_no_socket_is_left() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let mut world = DaemonWorld::new();
    world.config("[socket]\ngroup = \"0\"\n");
    let copy = world.path("bin/molecule-broker");
    assert!(world.command("cp").arg("--remove-destination").arg(BROKER).arg(&copy).status().unwrap().success());
    chown(world.path("run"), Some(12345), Some(12345)).unwrap();
    let as_other = ["--reuid=12345", "--regid=12345", "--clear-groups", "molecule-broker", "serve"];
    let out = world.command("setpriv").args(as_other).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("group") && said.contains("[socket]") && !said.contains("make its folder"), "{said}");
    assert!(!world.socket().exists());
}
