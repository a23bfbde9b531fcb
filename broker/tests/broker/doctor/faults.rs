//! Each fault that `doctor` knows, with the real git, the real daemon and a
//! platform on a thread. Each test creates a fault, finds it with its remedy, and
//! checks that it is gone once the remedy was applied.

use std::fs;
use std::os::unix::fs::symlink;

use crate::kit::doctor::{VERSION, all_good, doctor, found, healthy};
use crate::kit::platform::Answer;
use crate::kit::{Ability, BROKER, DaemonWorld, can, set_mode, text};

#[test]
fn where_all_is_good_each_check_is_one_line_and_the_status_zero() {
    let world = healthy();
    all_good(&world);
    let out = world.broker(&["doctor", "--json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&out.stdout).unwrap();
    assert!(findings.iter().all(|f| f["level"] == "ok") && findings.len() > 10, "{findings:?}");
}

#[test]
fn no_socket_because_no_broker_was_started() {
    let mut world = healthy();
    world.stop();
    let line = found(&doctor(&world), "socket", "broker.sock isn't there");
    assert!(line.contains("molecule-broker serve"), "{line}");
    world.start();
    world.broker(&["token"]);
    all_good(&world);
}

#[test]
fn a_folder_that_others_can_write_or_that_belongs_to_another() {
    let world = healthy();
    let run = world.path("run");
    set_mode(&run, 0o777);
    let line = found(&doctor(&world), "socket-folder", "can be written by other users");
    let remedy = line.rsplit("remedy: ").next().unwrap().to_owned();
    assert!(world.command("/bin/sh").args(["-c", &remedy]).status().unwrap().success(), "{remedy}");
    all_good(&world);
    if !can(&[Ability::GiveAway]) {
        return;
    }
    std::os::unix::fs::chown(&run, Some(12345), None).unwrap();
    let line = found(&doctor(&world), "socket-folder", "belongs to uid 12345");
    let remedy = line.rsplit("remedy: ").next().unwrap().to_owned();
    assert!(world.command("/bin/sh").args(["-c", &remedy]).status().unwrap().success(), "{remedy}");
    all_good(&world);
}

#[test]
fn a_socket_of_another_mode_than_configured() {
    let world = healthy();
    set_mode(&world.path("run/broker.sock"), 0o600);
    let line = found(&doctor(&world), "socket-mode", "mode 0600");
    let remedy = line.rsplit("remedy: ").next().unwrap().to_owned();
    assert!(world.command("/bin/sh").args(["-c", &remedy]).status().unwrap().success(), "{remedy}");
    all_good(&world);
}

#[test]
fn a_socket_that_a_dead_broker_left() {
    let mut world = healthy();
    world.kill();
    let line = found(&doctor(&world), "socket", "no broker answers");
    assert!(line.contains("molecule-broker serve"), "{line}");
    world.start();
    world.broker(&["token"]);
    all_good(&world);
}

#[test]
fn a_user_that_the_broker_does_not_answer() {
    let mut world = healthy();
    // The copy is in a folder that the other user can read. A separate process
    // makes it: a process that another test starts meanwhile would inherit the
    // open file, and a file that is open for writing can't be run.
    let copied = world
        .command("cp")
        .arg("--remove-destination")
        .args([BROKER.as_ref(), world.path("bin/molecule-broker").as_path()])
        .status();
    assert!(copied.unwrap().success());
    let as_other = ["--reuid=12345", "--regid=12345", "--clear-groups", "molecule-broker", "doctor"];
    let ask = |world: &DaemonWorld| world.command("setpriv").args(as_other).output().unwrap();
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let line = found(&ask(&world), "socket", "doesn't answer uid 12345");
    assert!(line.contains("MOLECULE_BROKER_ALLOW_USERS"), "{line}");
    world.stop();
    world.set("MOLECULE_BROKER_ALLOW_USERS", "12345");
    world.start();
    let out = text(&ask(&world).stdout);
    assert!(out.lines().any(|line| line.starts_with("ok   socket ")), "{out}");
}

#[test]
fn unix_sockets_forbidden_by_a_sandbox() {
    let world = healthy();
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=socket", "-e", "inject=socket:error=EPERM"];
    // strace plays the sandbox here.
    if !can(&[Ability::FailingCalls]) {
        return;
    }
    let out = world.command("strace").args(strace).args([BROKER, "doctor"]).output().unwrap();
    found(&out, "socket", "sandbox forbids");
}

#[test]
fn a_helper_that_is_not_on_path() {
    let world = healthy();
    let (there, away) = (world.path("bin/git-credential-molecule"), world.path("bin/away"));
    fs::rename(&there, &away).unwrap();
    found(&doctor(&world), "helper", "isn't on PATH");
    fs::rename(&away, &there).unwrap();
    all_good(&world);
}

#[test]
fn a_missing_helper_and_one_before_ours_are_located() {
    let world = healthy();
    let system = world.path("system");
    let good = fs::read_to_string(&system).unwrap();
    fs::write(&system, "").unwrap();
    let line = found(&doctor(&world), "git-helper", "git doesn't ask the broker for github.com");
    assert!(line.contains("molecule-broker setup-git"), "{line}");
    fs::write(&system, "[user]\n\tname = x\n[credential]\n\thelper = store\n\thelper = molecule\n").unwrap();
    found(&doctor(&world), "git-helper", &format!("asks the helper 'store' first ({}:4)", system.display()));
    assert!(world.broker(&["setup-git", "--system"]).status.success());
    all_good(&world);
    assert!(!good.is_empty());
}

#[test]
fn a_helper_that_would_keep_our_tokens() {
    let world = healthy();
    world.git(&["config", "credential.helper", "store"]);
    found(
        &doctor(&world),
        "git-helper",
        &format!("'store' ({}:", fs::canonicalize(world.path("repo/.git/config")).unwrap().display()),
    );
    world.git(&["config", "--unset-all", "credential.helper"]);
    all_good(&world);
}

#[test]
fn the_lines_of_ghs_own_setup_that_go_around_the_shim() {
    let world = healthy();
    let key = "credential.https://github.com.helper";
    world.git(&["config", "--global", "--add", key, ""]);
    world.git(&["config", "--global", "--add", key, "!/usr/bin/gh auth git-credential"]);
    found(&doctor(&world), "git-helper", "as `gh auth setup-git` writes it");
    assert!(world.broker(&["setup-git", "--global"]).status.success());
    all_good(&world);
}

#[test]
fn an_askpass_path_that_is_missing() {
    let mut world = healthy();
    world.set("GIT_ASKPASS", world.path("no/molecule-askpass").display().to_string());
    found(&doctor(&world), "askpass", "no/molecule-askpass, which GIT_ASKPASS names, isn't there");
    fs::create_dir(world.path("no")).unwrap();
    symlink(world.path("bin/molecule-askpass"), world.path("no/molecule-askpass")).unwrap();
    all_good(&world);
}

#[test]
fn a_remote_and_a_header_with_a_token_are_named_without_it() {
    let world = healthy();
    world.git(&["remote", "add", "origin", "https://x-access-token:ghs_canary@github.com/o/r"]);
    world.git(&["config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic Y2FuYXJ5"]);
    let out = doctor(&world);
    let remote = found(&out, "git-token", "remote.origin.url");
    let header = found(&out, "git-token", "extraheader");
    assert!(!text(&out.stdout).contains("canary") && !text(&out.stdout).contains("Y2FuYXJ5"));
    for line in [remote, header] {
        let remedy = line.rsplit("remedy: ").next().unwrap().to_owned();
        assert!(world.command("/bin/sh").args(["-c", &remedy]).status().unwrap().success(), "{remedy}");
    }
    all_good(&world);
    assert_eq!(
        text(&world.command("git").args(["remote", "get-url", "origin"]).output().unwrap().stdout),
        "https://github.com/o/r\n"
    );
}

#[test]
fn a_frozen_token_is_found_and_a_users_own_is_not() {
    let mut world = healthy();
    for name in ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"] {
        world.set(name, "ghs_canary_dead");
        let line = found(&doctor(&world), "variables", name);
        assert!(line.contains(&format!("unset {name}")) && !line.contains("canary"), "{line}");
        let current = text(&world.broker(&["token"]).stdout).trim().to_owned();
        world.set(name, current);
        all_good(&world);
        world.set(name, "ghp_users_own");
        all_good(&world);
        world.env.remove(name);
    }
}

#[test]
fn the_caches_that_the_scripts_left() {
    let world = healthy();
    for name in [".gh_token", ".molecule-token-cache"] {
        let file = world.path("home").join(name);
        fs::write(&file, "ghs_canary").unwrap();
        let line = found(&doctor(&world), "caches", name);
        assert!(!line.contains("canary"), "{line}");
        fs::remove_file(&file).unwrap();
        all_good(&world);
    }
}

#[test]
fn ghs_stored_login_with_a_token_that_nothing_renews() {
    let world = healthy();
    let folder = world.path("home/.config/gh");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hosts.yml"), "github.com:\n    user: x\n    oauth_token: ghs_canary\n").unwrap();
    let line = found(&doctor(&world), "gh-login", "hosts.yml");
    assert!(line.contains("gh auth logout --hostname github.com") && !line.contains("canary"), "{line}");
    fs::write(folder.join("hosts.yml"), "github.com:\n    user: x\n    oauth_token: gho_mine\n").unwrap();
    all_good(&world);
}

#[test]
fn a_netrc_entry_for_a_managed_host() {
    let world = healthy();
    let file = world.path("home/.netrc");
    fs::write(&file, "machine github.com\n login x\n password canary\n").unwrap();
    let line = found(&doctor(&world), "netrc", "login for github.com");
    assert!(!line.contains("canary"), "{line}");
    fs::write(&file, "machine other.example login x password y\n").unwrap();
    all_good(&world);
}

#[test]
fn a_gh_without_the_shim_before_it() {
    let world = healthy();
    world.script("bin/gh", "exit 0");
    fs::rename(world.path("bin/gh"), world.path("bin/gh.real")).unwrap();
    if std::path::Path::new("/usr/bin/gh").exists() {
        found(&doctor(&world), "gh", "without the shim");
    } else {
        eprintln!("SKIP: gh isn't installed");
    }
    symlink("git-credential-molecule", world.path("bin/gh")).unwrap();
    all_good(&world);
}

#[test]
fn a_bearer_file_that_is_missing_empty_or_unreadable() {
    let world = healthy();
    let file = world.path("configs/.auth_token");
    fs::remove_file(&file).unwrap();
    found(&doctor(&world), "bearer", "isn't there");
    fs::write(&file, " \n").unwrap();
    found(&doctor(&world), "bearer", "is empty");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    found(&doctor(&world), "bearer", "can't be read");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, "bearer-1\n").unwrap();
    // The daemon saw the file change and may be reading the bad file right now.
    world.broker(&["refresh"]);
    all_good(&world);
}

#[test]
fn each_failure_of_the_platform_has_its_own_remedy() {
    let mut world = healthy();
    for (status, named, remedy) in
        [(401, "401", "register again"), (404, "404", "no GitHub App"), (500, "500", "platform's own log")]
    {
        world.platform.answer(Answer::Say(status, String::new(), r#"{"error":"no"}"#.into()));
        let line = found(&doctor(&world), "platform", named);
        assert!(line.contains(remedy), "{line}");
    }
    world.platform.recovers();
    all_good(&world);
    let url = std::mem::replace(world.env.get_mut("PLATFORM_URL").unwrap(), "http://127.0.0.1:9".into());
    let line = found(&doctor(&world), "platform", "127.0.0.1:9");
    assert!(line.contains("PLATFORM_URL"), "{line}");
    world.set("PLATFORM_URL", url);
    all_good(&world);
}

#[test]
fn a_clock_that_disagrees_with_the_platforms() {
    let world = healthy();
    world.platform.answer(Answer::Ahead(600));
    found(&doctor(&world), "clock", "s behind the platform's");
    world.platform.answer(Answer::Ahead(-600));
    found(&doctor(&world), "clock", "s ahead of the platform's");
    world.platform.recovers();
    all_good(&world);
}

#[test]
fn a_persona_without_a_scope() {
    let mut world = healthy();
    world.stop();
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", "canary");
    world.start();
    world.broker(&["token"]);
    let line = found(&doctor(&world), "scope", "persona");
    assert!(line.contains("MOLECULE_BROKER_PERSONA_HOSTS") && !line.contains("canary"), "{line}");
    world.stop();
    world.set("MOLECULE_BROKER_PERSONA_HOSTS", "git.example.com");
    world.start();
    world.broker(&["token"]);
    assert!(world.broker(&["setup-git", "--system"]).status.success());
    all_good(&world);
}

#[test]
fn a_shim_of_another_version_than_the_daemon() {
    let world = healthy();
    world.script("bin/git-credential-molecule", "# molecule-shim/0.0.1");
    found(&doctor(&world), "versions", "is 0.0.1");
    world.script("bin/git-credential-molecule", &format!("# molecule-shim/{VERSION}"));
    all_good(&world);
}

#[test]
fn a_configuration_that_is_wrong_is_named_with_its_place() {
    let mut world = healthy();
    world.config("[log]\nfilter = 3\n");
    found(&doctor(&world), "config", "config.toml:2");
    world.config("");
    all_good(&world);
}
