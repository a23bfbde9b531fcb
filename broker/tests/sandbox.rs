//! What the sandbox takes away, and that nothing of it is missed.

#![allow(clippy::disallowed_methods, reason = "a test has clocks and an environment of its own")]
#![allow(clippy::unwrap_used, reason = "this is all test")]

mod kit;

use std::fs;

use kit::{World, wait_for};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn status(world: &World) -> serde_json::Value {
    serde_json::from_slice(&world.broker(&["status", "--json"]).stdout).unwrap()
}

#[test]
fn status_names_the_level_that_the_kernel_confirms() {
    let mut world = World::new();
    world.start();
    let level = status(&world)["sandbox"].as_str().unwrap().to_owned();
    let kernel = fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let is = |line: &str| kernel.lines().any(|l| l.split_ascii_whitespace().collect::<Vec<_>>().join(" ") == line);
    assert!(level.starts_with("not dumpable"), "{level}");
    assert_eq!(level.contains("no new privileges"), is("NoNewPrivs: 1"), "{level}");
    assert_eq!(level.contains("seccomp"), is("Seccomp: 2"), "{level}");
    assert_eq!(level.contains("landlock"), has_landlock(), "{level}");
    if !level.contains("seccomp") || !level.contains("landlock") {
        println!("SKIP: this kernel gives no more than: {level}");
    }
}

/// Whether the kernel would make a ruleset; none is put in force.
fn has_landlock() -> bool {
    let must = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    must.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
}

/// The folder watch, the audit file, names and files that a reload brings.
#[test]
fn a_reload_reads_other_files_and_goes_on_with_a_new_audit_file() {
    let mut world = World::new();
    let audit = world.path("home/audit.log");
    let config = format!("[log]\naudit_file = \"{}\"\n", audit.display());
    world.config(&config);
    world.start();
    assert!(world.broker(&["token"]).status.success(), "{}", world.log());
    assert_eq!(fs::read_to_string(&audit).unwrap().lines().count(), 1);
    fs::rename(&audit, world.path("home/audit.1")).unwrap();
    fs::write(world.path("other-token"), "secret-of-a-file\n").unwrap();
    let more = format!(
        "[[credential]]\nname = \"other\"\norigins = [\"git.example\"]\nusername = \"x\"\nsource = {{ file = \"{}\" }}\n",
        world.path("other-token").display()
    );
    world.rewrite_config(&(config + &more));
    kill(Pid::from_raw(world.pid() as i32), Signal::SIGHUP).unwrap();
    let token = || kit::text(&world.broker(&["token", "--host", "git.example"]).stdout);
    wait_for("the file's credential", || (token() == "secret-of-a-file\n").then_some(()));
    fs::write(world.path("other-token"), "rotated\n").unwrap();
    wait_for("the rotated one", || (token() == "rotated\n").then_some(()));
    assert!(fs::read_to_string(&audit).unwrap().contains("credential=other"));
    world.ask("molecule/1 get\nclient=token\nprotocol=https\nhost=git.example\n\n");
    let own = format!("command={}", fs::read_to_string("/proc/self/comm").unwrap());
    wait_for("a line with the name that the kernel knows", || {
        fs::read_to_string(&audit).unwrap().ends_with(&own).then_some(())
    });
}

#[test]
fn a_platform_is_found_by_name_and_a_new_bearer_at_once() {
    let mut world = World::new();
    let url = world.platform.url.replace("127.0.0.1", "localhost");
    world.set("PLATFORM_URL", url);
    world.platform.knows_only("good");
    world.start();
    wait_for("the refusal", || world.log().contains("http_401").then_some(()));
    fs::write(world.path("configs/.auth_token"), "good\n").unwrap();
    wait_for("the token", || world.broker(&["token"]).status.success().then_some(()));
}

#[test]
fn a_command_source_still_runs_in_the_helper() {
    let mut world = World::new();
    let script = world.script("bin/minter", "echo from-a-command");
    let config = format!(
        "[[credential]]\nname = \"other\"\norigins = [\"git.example\"]\nusername = \"x\"\nsource = {{ command = [\"{}\"] }}\n",
        script.display()
    );
    world.config(&config);
    world.start();
    let done = world.broker(&["token", "--host", "git.example"]);
    assert_eq!(kit::text(&done.stdout), "from-a-command\n", "{}", world.log());
}

#[test]
fn the_socket_is_still_taken_away_at_the_end() {
    let mut world = World::new();
    world.start();
    world.stop();
    assert!(!world.path("run/broker.sock").exists());
}
