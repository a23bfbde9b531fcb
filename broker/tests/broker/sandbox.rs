//! The daemon inside its sandbox: its features still work, and a kernel that
//! restricts less is reported.

use std::fs;
use std::net::{TcpListener, TcpStream};

use crate::kit;
use crate::kit::{DaemonWorld, wait_for};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn status(world: &DaemonWorld) -> serde_json::Value {
    serde_json::from_slice(&world.broker(&["status", "--json"]).stdout).unwrap()
}

#[test]
fn status_names_the_level_that_the_kernel_confirms() {
    let mut world = DaemonWorld::new();
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

/// Refusals by an old kernel or a container's runtime, the log lines that report
/// them, and the level that is left.
const LESS: &[(&str, &[&str], &str)] = &[
    ("landlock_create_ruleset:error=ENOSYS", &[NO_LANDLOCK], WITHOUT_LANDLOCK),
    ("landlock_create_ruleset:error=EOPNOTSUPP", &[NO_LANDLOCK], WITHOUT_LANDLOCK),
    // The first call asks for the version: 1 is Linux 5.13, and 3 is 6.2.
    ("landlock_create_ruleset:retval=1:when=1", &[OLD_LANDLOCK], PARTLY),
    ("landlock_create_ruleset:retval=3:when=1", &[OLD_LANDLOCK], PARTLY),
    ("landlock_add_rule:error=ENOMEM", &[BAD_LANDLOCK], WITHOUT_LANDLOCK),
    ("landlock_restrict_self:error=EPERM", &[BAD_LANDLOCK], WITHOUT_LANDLOCK),
    ("seccomp:error=ENOSYS", &[NO_SECCOMP], "not dumpable, no new privileges, landlock"),
    ("seccomp:error=EINVAL", &[NO_SECCOMP], "not dumpable, no new privileges, landlock"),
    ("prctl:error=EINVAL", &[DUMPABLE, NEW_PRIVILEGES, BAD_LANDLOCK, NO_SECCOMP], "none"),
];
const WHOLE: &str = "not dumpable, no new privileges, landlock, seccomp";
const WITHOUT_LANDLOCK: &str = "not dumpable, no new privileges, seccomp";
const PARTLY: &str = "not dumpable, no new privileges, landlock (partly), seccomp";
const DUMPABLE: &str = "WARN processes of the same user can inspect this one";
const NEW_PRIVILEGES: &str = "WARN no_new_privs can't be set: EINVAL";
const NO_LANDLOCK: &str = "WARN this kernel has no landlock: files aren't restricted";
const OLD_LANDLOCK: &str = "WARN this kernel's landlock is old: files, ports and signals aren't all restricted";
const BAD_LANDLOCK: &str = "WARN landlock can't be set up, files aren't restricted: ";
const NO_SECCOMP: &str = "WARN seccomp can't be set up, system calls aren't restricted: ";

#[test]
fn with_a_weaker_kernel_the_daemon_serves_and_says_so() {
    let world = |way: &[&str]| {
        let mut world = DaemonWorld::new();
        let audit = world.path("home/audit.log");
        // Older versions don't know the rule for a port.
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let audit_file = audit.display();
        world.config(&format!("[log]\naudit_file = \"{audit_file}\"\n[metrics]\nlisten = \"{metrics}\"\n"));
        world.start_through(way);
        let token = world.broker(&["token"]);
        assert!(token.status.success(), "{way:?}: {}", world.log());
        assert_eq!(fs::read_to_string(audit).unwrap().lines().count(), 1, "{way:?}");
        assert!(TcpStream::connect(metrics).is_ok(), "{way:?}: {}", world.log());
        let level = status(&world)["sandbox"].as_str().unwrap().to_owned();
        (world, level)
    };
    let (whole, level) = world(&[]);
    let all = LESS.iter().flat_map(|(_, lines, _)| *lines);
    if level != WHOLE {
        println!("SKIP: this kernel gives no more than: {level}");
        return;
    }
    all.for_each(|line| assert!(!whole.log().contains(line), "{line}: {}", whole.log()));
    if !kit::can(&[kit::Ability::FailingCalls]) {
        return;
    }
    for (fault, lines, left) in LESS {
        let (trace, inject) = (format!("trace={}", fault.split(':').next().unwrap()), format!("inject={fault}"));
        let way = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let (mut world, level) = world(&[&["strace"], &way[..]].concat());
        assert_eq!(level, *left, "{fault}: {}", world.log());
        lines.iter().for_each(|line| assert!(world.log().contains(line), "{fault}: {line}: {}", world.log()));
        world.stop();
    }
}

/// Returns whether the kernel would create a ruleset. None is enforced.
fn has_landlock() -> bool {
    let must = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    must.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
}

/// Covers the folder watch, the audit file, process names, and files that a reload
/// adds.
#[test]
fn a_reload_reads_other_files_and_goes_on_with_a_new_audit_file() {
    let mut world = DaemonWorld::new();
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
    wait_for("the rotated token", || (token() == "rotated\n").then_some(()));
    assert!(fs::read_to_string(&audit).unwrap().contains("credential=other"));
    world.ask("molecule/1 get\nclient=token\nprotocol=https\nhost=git.example\n\n");
    let own = format!("command={}", fs::read_to_string("/proc/self/comm").unwrap());
    wait_for("a line with the name that the kernel knows", || {
        fs::read_to_string(&audit).unwrap().ends_with(&own).then_some(())
    });
}

#[test]
fn a_platform_is_found_by_name_and_a_new_bearer_at_once() {
    let mut world = DaemonWorld::new();
    let url = world.platform.url.replace("127.0.0.1", "localhost");
    world.set("PLATFORM_URL", url);
    world.platform.knows_only("good");
    world.start();
    wait_for("the refusal", || world.log().contains("http_401").then_some(()));
    fs::write(world.path("configs/.auth_token"), "good\n").unwrap();
    wait_for("the token", || world.broker(&["token"]).status.success().then_some(()));
}

#[test]
fn a_command_source_still_runs_in_the_runner() {
    let mut world = DaemonWorld::new();
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
fn the_socket_is_still_removed_at_exit() {
    let mut world = DaemonWorld::new();
    world.start();
    world.stop();
    assert!(!world.path("run/broker.sock").exists());
}
