//! Between refreshes the daemon sleeps: a minute under strace shows nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use molecule_tests::skip;
use molecule_tests::wait::{eventually, poll};
use molecule_tests::world::{Setup, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The one length of time that is the very thing to be watched.
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_idle_daemon_does_not_wake_up_for_a_minute() {
    let world = World::started(Setup::default());
    let settled = poll(Duration::from_secs(10), || (world.broker.credential("github")["state"] == "ok").then_some(()));
    assert!(settled.is_some(), "no first token: {}", world.broker.status());
    // The thread that resolved the platform's name ends soon after the refresh.
    let threads = || fs::read_dir(format!("/proc/{}/task", world.broker.pid())).map_or(0, Iterator::count);
    eventually("one thread is left", Duration::from_secs(3), || threads() == 1);
    let trace = world.path().join("strace");
    let strace = Command::new("strace")
        .args(["-f", "-q", "-o"])
        .arg(&trace)
        .args(["-p", &world.broker.pid().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut strace) = strace else {
        return skip("no wake-up while idle: there is no strace here");
    };
    let attached = poll(Duration::from_secs(5), || fs::metadata(&trace).ok().filter(|file| file.len() > 0));
    if attached.is_none() {
        let _ = strace.kill();
        let _ = strace.wait();
        return skip("no wake-up while idle: strace may not attach here");
    }
    thread::sleep(MINUTE);
    kill(Pid::from_raw(i32::try_from(strace.id()).unwrap()), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    // What each thread was in when strace came, and was still in when it left:
    // nothing that returned, began or was resumed.
    let text = fs::read_to_string(&trace).unwrap();
    let asleep = |line: &str| ["<detached ...>", "<unfinished ...>"].iter().any(|end| line.trim_end().ends_with(end));
    let woke: Vec<_> = text.lines().filter(|line| !asleep(line) || line.contains(" resumed>")).collect();
    assert!(woke.is_empty(), "it woke up:\n{}", woke.join("\n"));
}
