//! Tokens and requests survive a daemon's death.

use crate::kit;
use crate::kit::DaemonWorld;
use crate::kit::supervised::wait_long;
use nix::sys::signal::{Signal, kill};

#[test]
fn twenty_kills_in_an_outage_lose_no_token() {
    if !molecule_test_kit::only_in_full_run("twenty kills with the platform down") {
        return;
    }
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    supervised.daemon();
    let token = world.printed_token().unwrap();
    let minted = world.platform.minted();
    world.platform.fails();
    for _ in 0..20 {
        supervised.replace_daemon();
        assert_eq!(world.printed_token().as_ref(), Some(&token), "{}", world.log());
    }
    assert_eq!(world.platform.minted(), minted);
    let log = world.log();
    assert!(!log.contains("refresh failed"), "the platform must not be asked: {log}");
}

#[test]
fn a_reload_with_another_user_name_loses_no_token() {
    let mut world = DaemonWorld::new();
    world.config("");
    let supervised = world.supervise(&["--", "sleep", "600"]);
    supervised.daemon();
    let token = world.printed_token().unwrap();
    world.rewrite_config("[[credential]]\nname = \"github\"\norigins = [\"github.com\"]\nusername = \"other\"\n");
    assert!(world.broker(&["reload"]).status.success(), "{}", world.log());
    world.platform.fails();
    supervised.replace_daemon();
    assert_eq!(world.printed_token(), Some(token), "{}", world.log());
}

#[test]
fn a_file_that_changed_without_a_daemon_is_read_by_the_next() {
    let mut world = DaemonWorld::new();
    let secret = world.path("secret");
    std::fs::write(&secret, "before\n").unwrap();
    world.config(&format!(
        "[[credential]]\nname = \"forge\"\norigins = [\"git.example\"]\nusername = \"u\"\nsource = {{ file = \"{}\" }}\n",
        secret.display()
    ));
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let token = || kit::text(&world.broker(&["token", "--host", "git.example"]).stdout);
    kit::wait_for("the file's first content", || (token() == "before\n").then_some(()));
    // A stopped daemon doesn't notice the change.
    kill(daemon, Signal::SIGSTOP).unwrap();
    std::fs::write(&secret, "after\n").unwrap();
    kill(daemon, Signal::SIGKILL).unwrap();
    kit::wait_for("the file's new content", || (token() == "after\n").then_some(()));
}

#[test]
fn a_request_during_the_restart_waits_and_is_answered() {
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let token = world.printed_token();
    kill(daemon, Signal::SIGSTOP).unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.printed_token());
        kit::wait_for("the request", || waiting_in(&world).then_some(()));
        kill(daemon, Signal::SIGKILL).unwrap();
        assert_eq!(asking.join().unwrap(), token);
    });
}

/// Returns whether a client waits in the socket's backlog (unix(7): a connected
/// peer that wasn't accepted has the listener's path and the state 02).
fn waiting_in(world: &DaemonWorld) -> bool {
    let path = world.path("run/broker.sock").display().to_string();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().filter(|line| line.ends_with(&path)).count() > 1
}

/// Runs in a container that has just started, because the frozen token serves
/// only for an hour after the start.
#[test]
fn a_rejection_of_the_frozen_token_outlives_the_daemon() {
    let way = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !kit::can(&[kit::Ability::PidNamespace]) {
        return;
    }
    let mut world = DaemonWorld::new();
    world.set("GITHUB_TOKEN", "ghs_frozen");
    world.platform.fails();
    let supervised = world.supervise_by(&way, &["--", "sleep", "600"]);
    let token = kit::wait_for("the fallback", || world.printed_token());
    assert_eq!(token, "ghs_frozen");
    let sha256 = molecule_protocol::digest::sha256(token.as_bytes());
    let hex = String::from_utf8(molecule_protocol::encoding::hex(&sha256).to_vec()).unwrap();
    let request = format!("molecule/1 erase\nclient=helper\nprotocol=https\nhost=github.com\nsha256={hex}\n\n");
    say(&world, &request);
    kit::wait_for("the rejection", || world.printed_token().is_none().then_some(()));
    supervised.replace_daemon();
    assert_eq!(world.printed_token(), None, "{}", world.log());
}

fn say(world: &DaemonWorld, request: &str) {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(world.path("run/broker.sock")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
}

/// The line has time, event and reason in both log formats.
#[test]
fn a_daemons_end_is_one_line_of_the_log() {
    for format in ["text", "json"] {
        let mut world = DaemonWorld::new();
        world.config(&format!("[log]\nformat = \"{format}\"\n"));
        let supervised = world.supervise(&["--", "sleep", "600"]);
        supervised.replace_daemon();
        let log = world.log();
        let told = "the daemon ended with status 137 (SIGKILL, from another process or because the container is out of memory)";
        let line = log.lines().find(|line| line.contains(told)).unwrap_or_else(|| panic!("{log}"));
        if format == "json" {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line["level"] == "WARN" && line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        } else {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(time.starts_with("20") && time.ends_with('Z') && rest.starts_with(" WARN supervise: "), "{line}");
        }
    }
}

#[test]
fn status_counts_the_daemons_restarts() {
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let restarts = || world.status()["restarts"].as_u64();
    supervised.daemon();
    assert_eq!(restarts(), Some(0));
    supervised.replace_daemon();
    assert_eq!(restarts(), Some(1));
    assert!(kit::text(&world.broker(&["status"]).stdout).contains("\n  restarts: 1\n"));
}

#[test]
fn a_stopped_daemon_is_replaced_and_the_token_stays() {
    if !molecule_test_kit::only_in_full_run("the watchdog's whole period") {
        return;
    }
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let token = world.printed_token();
    kill(daemon, Signal::SIGSTOP).unwrap();
    wait_long("another daemon", || (!alive(daemon)).then_some(()));
    assert_ne!(supervised.daemon(), daemon);
    assert_eq!(world.printed_token(), token);
    assert!(world.log().contains("no sign of life"), "{}", world.log());
}

/// Stops both processes at once, as the cgroup freezer does.
#[test]
fn a_paused_container_causes_no_restart() {
    if !molecule_test_kit::only_in_full_run("the watchdog's whole period") {
        return;
    }
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    supervised.signal(Signal::SIGSTOP);
    kill(daemon, Signal::SIGSTOP).unwrap();
    let paused = std::time::Instant::now();
    wait_long("the pause to last", || (paused.elapsed().as_secs() > 65).then_some(()));
    supervised.signal(Signal::SIGCONT);
    kill(daemon, Signal::SIGCONT).unwrap();
    // In one more whole period the supervisor could still replace the daemon.
    let resumed = std::time::Instant::now();
    wait_long("the next period", || (resumed.elapsed().as_secs() > 20).then_some(()));
    assert_eq!(supervised.daemon(), daemon, "{}", world.log());
}

fn alive(pid: nix::unistd::Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Other processes can't write to a socket without a name (unix(7)).
#[test]
fn rule50_only_the_daemon_can_reach_its_supervisor() {
    if !kit::can(&[kit::Ability::LookIntoClosed]) {
        return;
    }
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    for pid in [supervised.pid(), daemon] {
        let names = named_sockets(pid);
        assert!(names.iter().all(|name| *name == world.socket().display().to_string()), "{names:?}");
    }
    let environment = std::fs::read(format!("/proc/{daemon}/environ")).unwrap();
    assert!(!kit::text(&environment).contains("NOTIFY_SOCKET="));
    // The command has no end of that connection either.
    let command = kit::wait_for("the command", || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", supervised.pid())).unwrap();
        children
            .split_whitespace()
            .map(|pid| nix::unistd::Pid::from_raw(pid.parse().unwrap()))
            .find(|pid| *pid != daemon)
    });
    kit::wait_for("the command to run its program", || {
        std::fs::read_to_string(format!("/proc/{command}/comm")).ok().filter(|name| name == "sleep\n")
    });
    assert_eq!(sockets(command), Vec::<String>::new());
}

/// Returns the inode numbers of a process's sockets.
fn sockets(pid: nix::unistd::Pid) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter_map(|t| Some(t.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// Returns the names of a process's sockets that have one.
fn named_sockets(pid: nix::unistd::Pid) -> Vec<String> {
    let own = sockets(pid);
    assert!(!own.is_empty());
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let fields = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    fields.filter(|f| own.iter().any(|i| i == f[6])).filter_map(|f| Some((*f.get(7)?).to_owned())).collect()
}
