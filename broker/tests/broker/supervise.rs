//! `supervise` as a container's entrypoint: command, signals and orphans.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use crate::kit;
use crate::kit::{Ability, BROKER, DaemonWorld, can, text, wait_for};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn the_commands_status_is_its_own() {
    let world = DaemonWorld::new();
    world.script("not-executable", "");
    kit::set_mode(&world.path("not-executable"), 0o644);
    let plain = world.path("not-executable").display().to_string();
    for (argv, status) in [
        (vec!["sh", "-c", "exit 0"], 0),
        (vec!["sh", "-c", "exit 7"], 7),
        (vec!["sh", "-c", "kill -KILL $$"], 137),
        (vec!["sh", "-c", "kill -34 $$"], 162),
        (vec!["no-such-command"], 127),
        (vec![plain.as_str()], 126),
    ] {
        let words: Vec<&str> = ["--"].into_iter().chain(argv.iter().copied()).collect();
        assert_eq!(world.supervise(&words).wait().code(), Some(status), "{argv:?}: {}", world.log());
    }
}

#[test]
fn an_unknown_user_is_its_own_failure() {
    let world = DaemonWorld::new();
    let status = world.supervise(&["--user", "no-such-user", "--", "true"]).wait();
    assert_eq!(status.code(), Some(125));
    assert!(world.log().contains("--user: there is no user \"no-such-user\""), "{}", world.log());
}

#[test]
fn the_command_finds_a_daemon_that_is_ready() {
    let world = DaemonWorld::new();
    world.supervise(&["--", BROKER, "token"]).wait();
    assert!(world.log().contains("ghs_minted_1"), "{}", world.log());
}

#[test]
fn the_command_gets_git_variables_and_no_frozen_token() {
    let mut world = DaemonWorld::new();
    let helper = world.script("bin/git-credential-molecule", "");
    for (name, value) in [
        ("GITHUB_TOKEN", "ghs_frozen"),
        ("GH_TOKEN", "ghs_frozen"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "user.name"),
        ("GIT_CONFIG_VALUE_0", "octocat"),
        ("GIT_CONFIG_PARAMETERS", "'alias.two'='!echo 1\n2'"),
    ] {
        world.set(name, value);
    }
    let script = "env > env; git config --get-all user.name > name; git config alias.two >> name";
    world.supervise(&["--", "sh", "-c", script]).wait();
    let env = fs::read_to_string(world.path("repo/env")).unwrap();
    assert!(!env.contains("ghs_") && !env.contains("NOTIFY_SOCKET") && !env.contains("LISTEN_"), "{env}");
    let key = "credential.https://github.com.helper";
    let pair = format!("'alias.two'='!echo 1\n2' '{key}=' '{key}={}' ", helper.display());
    for text in ["GIT_CONFIG_COUNT=1\n", &pair, "GIT_ASKPASS=", "GIT_TERMINAL_PROMPT=0\n"] {
        assert!(env.contains(text), "{text} in {env}");
    }
    assert_eq!(fs::read_to_string(world.path("repo/name")).unwrap(), "octocat\n!echo 1\n2\n");
    assert_eq!(world.platform.minted(), 0, "no client needed a token");
}

#[test]
fn without_a_helper_the_command_keeps_its_own_git_settings() {
    let mut world = DaemonWorld::new();
    world.set("GIT_CONFIG_PARAMETERS", "'a.b'='c'");
    world.supervise(&["--", "sh", "-c", "env > env"]).wait();
    let env = fs::read_to_string(world.path("repo/env")).unwrap();
    if Path::new("/usr/local/bin/git-credential-molecule").exists() {
        eprintln!("SKIP: a missing helper: it is installed on this machine");
        return;
    }
    assert!(env.contains("GIT_CONFIG_PARAMETERS='a.b'='c'\n"), "{env}");
    let wanted = "install the shim as /usr/local/bin/git-credential-molecule";
    assert!(world.log().contains(wanted), "{}", world.log());
}

#[test]
fn oversized_git_settings_dont_keep_the_command_away() {
    let mut world = DaemonWorld::new();
    world.script("bin/git-credential-molecule", "");
    world.set("GIT_CONFIG_PARAMETERS", format!("'a.b'='{}'", "c".repeat(100_000)));
    assert_eq!(world.supervise(&["--", "sh", "-c", "exit 6"]).wait().code(), Some(6), "{}", world.log());
    assert!(world.log().contains("setup-git --system"), "{}", world.log());
}

#[test]
fn rule49_a_repositorys_helper_sees_no_get_and_no_store() {
    let world = DaemonWorld::new();
    world.git(&["init", "-q"]);
    let spy = world.script("bin/git-credential-spy", &format!("echo \"$1\" >> {}", world.path("seen").display()));
    world.git(&["config", "credential.helper", &spy.display().to_string()]);
    world.git(&["config", "credential.https://github.com.helper", &spy.display().to_string()]);
    world.script("bin/git-credential-molecule", "[ \"$1\" = get ] && echo username=us && echo password=ours");
    let script = "printf 'protocol=https\\nhost=github.com\\n\\n' | tee ask | git credential fill > filled && git credential approve < filled";
    world.supervise(&["--", "sh", "-c", script]).wait();
    assert!(fs::read_to_string(world.path("repo/filled")).unwrap().contains("password=ours"));
    assert!(!world.path("seen").exists(), "{:?}", fs::read_to_string(world.path("seen")));
}

#[test]
fn signals_are_forwarded_to_the_command() {
    let world = DaemonWorld::new();
    let script = "for s in TERM INT HUP USR1 WINCH QUIT; do trap \"echo $s >> got\" $s; done
        touch there; until [ -f over ]; do sleep 0.02; done; exit 3";
    let supervised = world.supervise(&["--", "sh", "-c", script]);
    wait_for("the command", || world.path("repo/there").exists().then_some(()));
    let daemon = supervised.daemon();
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGWINCH, "WINCH"),
        (Signal::SIGQUIT, "QUIT"),
    ] {
        supervised.signal(signal);
        wait_for(name, || fs::read_to_string(world.path("repo/got")).ok()?.lines().any(|l| l == name).then_some(()));
    }
    assert_eq!(supervised.daemon(), daemon, "none of them was the daemon's");
    fs::write(world.path("repo/over"), "").unwrap();
    assert_eq!(supervised.wait().code(), Some(3));
}

#[test]
fn a_command_that_a_signal_ends_takes_daemon_and_socket_along() {
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    wait_for("the command", || commands(supervised.pid()).contains(&"sleep".into()).then_some(()));
    supervised.signal(Signal::SIGTERM);
    assert_eq!(supervised.wait().code(), Some(143));
    assert!(!world.path("run/broker.sock").exists());
    assert!(!world.path(&format!("/proc/{daemon}")).exists());
}

#[test]
fn without_a_command_it_supervises_until_it_is_told_to_stop() {
    let world = DaemonWorld::new();
    let supervised = world.supervise(&[]);
    let daemon = supervised.daemon();
    supervised.signal(Signal::SIGHUP);
    wait_for("the reload", || world.log().contains("configuration reloaded").then_some(()));
    assert_eq!(supervised.daemon(), daemon);
    supervised.signal(Signal::SIGTERM);
    assert_eq!(supervised.wait().code(), Some(0));
    assert!(!world.path("run/broker.sock").exists());
}

#[test]
fn the_daemon_ends_with_its_supervisor() {
    let world = DaemonWorld::new();
    let supervised = world.supervise(&["--", "sleep", "600"]);
    let daemon = supervised.daemon();
    let command =
        wait_for("the command", || children(supervised.pid()).into_iter().find(|pid| *pid != daemon.as_raw()));
    supervised.signal(Signal::SIGKILL);
    assert_eq!(supervised.wait().signal(), Some(9));
    // Reaping the zombie is up to the first process of this machine.
    let stat = || fs::read_to_string(format!("/proc/{daemon}/stat"));
    wait_for("the daemon's end", || stat().map_or(true, |stat| stat.contains(") Z ")).then_some(()));
    let _ = kill(Pid::from_raw(command), Signal::SIGKILL);
}

#[test]
fn as_pid_1_it_reaps_orphans_and_returns_the_status() {
    if !can(&[Ability::PidNamespace]) {
        return;
    }
    let world = DaemonWorld::new();
    let script = "sh -c 'true & echo $! > orphan'; orphan=$(cat orphan)
        i=0; while [ -d /proc/$orphan ]; do i=$((i+1)); [ $i -gt 500 ] && exit 99; sleep 0.02; done; exit 5";
    let way = ["unshare", "--pid", "--fork", "--mount-proc"];
    assert_eq!(world.supervise_by(&way, &["--", "sh", "-c", script]).wait().code(), Some(5));
}

#[test]
fn the_command_starts_in_spite_of_a_bad_configuration() {
    let mut world = DaemonWorld::new();
    world.set("MOLECULE_BROKER_CONFIG", world.path("config.toml").display().to_string());
    world.config("nonsense = 1\n");
    world.script("bin/git-credential-molecule", "");
    let supervised = world.supervise(&["--", "sh", "-c", "env > env; touch there; exec sleep 600"]);
    wait_for("the command", || world.path("repo/there").exists().then_some(()));
    assert!(world.log().contains("nonsense"), "{}", world.log());
    let env = fs::read_to_string(world.path("repo/env")).unwrap();
    assert!(env.contains("credential.https://github.com.helper"), "{env}");
    world.rewrite_config("");
    supervised.daemon();
}

/// Returns a command that runs another one with its stderr in this file of the
/// current folder.
fn with_stderr_to(file: &str) -> [String; 4] {
    ["sh", "-c", &format!("exec \"$@\" 2> {file}"), "sh"].map(String::from)
}

/// Lines that a daemon writes to a full pipe must wait. With a non-blocking
/// stderr they would be lost.
#[test]
fn a_non_blocking_stderr_of_the_command_isnt_the_daemons() {
    if !can(&[Ability::LookIntoClosed]) {
        return;
    }
    let world = DaemonWorld::new();
    let script = "use Fcntl; fcntl(STDERR, F_SETFL, O_NONBLOCK | O_APPEND) or die; open(F, '>', 'there'); sleep 600";
    // A pipe, because a plain file never blocks.
    let pipe = world.path("repo/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let supervised = world.supervise_by(&with_stderr_to("pipe"), &["--", "perl", "-e", script]);
    wait_for("the command", || world.path("repo/there").exists().then_some(()));
    let flags = |pid: Pid| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/2")).unwrap();
        let octal = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        OFlag::from_bits_retain(i32::from_str_radix(&octal, 8).unwrap())
    };
    assert!(flags(supervised.pid()).contains(OFlag::O_NONBLOCK), "the supervisor shares its stderr with the command");
    assert!(!flags(supervised.daemon()).contains(OFlag::O_NONBLOCK));
}

/// A shell opens the file of `supervise -- … 2> file` without O_APPEND, so all
/// processes that share the open file description also share its offset.
#[test]
fn in_a_plain_log_file_no_process_overwrites_others_lines() {
    let world = DaemonWorld::new();
    let said = "here the command says something that is longer than any time stamp";
    let script = format!("for i in 1 2 3; do echo {said} >&2; \"$0\" reload; done; : > there; exec sleep 600");
    let supervised = world.supervise_by(&with_stderr_to("plain.log"), &["--", "sh", "-c", &script, BROKER]);
    wait_for("the command", || world.path("repo/there").exists().then_some(()));
    supervised.signal(Signal::SIGTERM);
    supervised.wait();
    let text = fs::read_to_string(world.path("repo/plain.log")).unwrap();
    let whole = |line: &&str| line.starts_with("20") || line == &said;
    assert!(text.lines().all(|line| whole(&line)), "{text}");
    assert_eq!(text.matches("configuration reloaded").count(), 3, "{text}");
    assert_eq!(text.matches(said).count(), 3, "{text}");
}

#[test]
fn the_command_starts_though_the_socket_cant_be_made() {
    let mut world = DaemonWorld::new();
    world.set("MOLECULE_BROKER_SOCKET", world.path("nowhere/broker.sock").display().to_string());
    assert_eq!(world.supervise(&["--", "sh", "-c", "exit 4"]).wait().code(), Some(4));
    assert!(world.log().contains("install -d"), "{}", world.log());
}

#[test]
fn as_root_command_and_daemon_run_as_the_user() {
    if !can(&[Ability::BecomeOthers]) {
        return;
    }
    let world = DaemonWorld::new();
    let notes = world.path("notes");
    fs::create_dir(&notes).unwrap();
    kit::set_mode(&notes, 0o777);
    let script =
        format!("cd {}; echo $(id -u) $(id -G) $HOME $USER; id > draft; mv draft id; exec sleep 600", notes.display());
    let supervised = world.supervise(&["--user", "daemon", "--", "sh", "-c", &script]);
    wait_for("the command", || notes.join("id").exists().then_some(()));
    let home = nix::unistd::User::from_name("daemon").unwrap().unwrap().dir;
    assert!(world.log().contains(&format!("1 1 {} daemon\n", home.display())), "{}", world.log());
    let daemon = supervised.daemon();
    assert_eq!(uid_of(daemon.as_raw()), "1");
    assert_eq!(fs::metadata(world.path("run/broker.sock")).unwrap().uid(), 0);
}

#[test]
fn the_daemon_has_its_own_user_if_that_user_can_read_the_bearer() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway, Ability::MountNamespace]) {
        return;
    }
    let world = DaemonWorld::new();
    let way = world.with_own_user();
    for (mode, uid) in [(0o644, "12345"), (0o600, "1")] {
        kit::set_mode(&world.path("configs/.auth_token"), mode);
        std::os::unix::fs::chown(world.path("configs/.auth_token"), Some(1), None).unwrap();
        let supervised = world.supervise_by(&way, &["--user", "daemon"]);
        assert_eq!(uid_of(supervised.daemon().as_raw()), uid, "{}", world.log());
        assert_eq!(world.printed_token().as_deref(), Some(format!("ghs_minted_{}", world.platform.minted()).as_str()));
        supervised.signal(Signal::SIGTERM);
        supervised.wait();
    }
    assert!(world.log().contains("that user can't read"), "{}", world.log());
}

fn uid_of(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().to_owned()
}

fn children(of: Pid) -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn commands(of: Pid) -> Vec<String> {
    let name = |pid: i32| text(&fs::read(format!("/proc/{pid}/comm")).unwrap_or_default()).trim().to_owned();
    children(of).into_iter().map(name).collect()
}
