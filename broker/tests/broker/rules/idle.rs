//! Between refreshes the daemon sleeps in the kernel and nothing wakes it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::{Ability, DaemonWorld, can, program, wait_for};

#[test]
fn an_idle_daemon_makes_not_one_system_call_in_twenty_seconds() {
    if !molecule_test_kit::only_in_full_run("twenty seconds without a system call") {
        return;
    }
    if !can(&[Ability::Strace, Ability::LookIntoClosed]) {
        return;
    }
    let world = DaemonWorld::settled();
    let (trace, pid) = (world.path("trace"), world.pid());
    let calls = || fs::read_to_string(&trace).unwrap_or_default();
    let mut strace = program("strace")
        .args(["-f", "-o"])
        .arg(&trace)
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The trace shows this request, so a call that it doesn't show didn't
    // happen. After the request the daemon sleeps in a call that hasn't
    // returned yet.
    wait_for("the trace to begin", || {
        assert!(world.get().starts_with("molecule/1 ok\n"));
        calls().contains("accept4(").then_some(())
    });
    let began = Instant::now();
    let mut before = calls();
    // A thread that resolved a name ends within the first two seconds.
    while began.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(50));
        before = calls();
    }
    while began.elapsed() < Duration::from_secs(22) {
        std::thread::sleep(Duration::from_millis(200));
    }
    let after = calls();
    kill(Pid::from_raw(strace.id() as i32), Signal::SIGTERM).unwrap();
    strace.wait().unwrap();
    assert_eq!(after[before.len()..], *"", "the daemon was woken");
}
