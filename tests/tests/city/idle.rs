//! The daemon sleeps between refreshes. For a minute, strace shows nothing, and
//! under `supervise` only the watchdog.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use molecule_tests::only_in_full_run;
use molecule_tests::wait::{eventually, poll};
use molecule_tests::world::supervised::Supervised;
use molecule_tests::world::{World, WorldSetup};
use molecule_tests::{Ability, can, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A fixed time, because the test is about that minute.
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_idle_daemon_does_not_wake_up_for_a_minute() {
    if !only_in_full_run("a minute without a wake-up") {
        return;
    }
    let world = World::started(WorldSetup::default());
    settled(&world);
    one_thread(world.broker.pid());
    let Some(trace) = a_minute_of(&world, &[world.broker.pid()]) else { return };
    // The call in which each thread was when strace attached, and still was
    // when it detached. No call may have returned, begun or been resumed.
    let woke: Vec<_> = trace.lines().filter(|line| returned(line)).collect();
    assert!(woke.is_empty(), "it woke up:\n{}", woke.join("\n"));
}

#[test]
fn under_supervise_only_the_watchdog_wakes_both_twice_a_minute() {
    if !only_in_full_run("two wake-ups in a minute") {
        return;
    }
    let world = World::new(WorldSetup::default());
    let supervised = Supervised::start(&world);
    settled(&world);
    let both = supervised.pids().expect("supervisor and daemon run");
    both.into_iter().for_each(one_thread);
    let Some(trace) = a_minute_of(&world, &both) else { return };
    for (who, pid) in ["supervisor", "daemon"].into_iter().zip(both) {
        let own = trace.lines().filter_map(|line| line.strip_prefix(&format!("{pid} ")));
        let woke: Vec<_> = own.filter(|line| waits(line) && returned(line)).collect();
        assert!((1..=2).contains(&woke.len()), "the {who} woke up {} times:\n{trace}", woke.len());
    }
}

/// Waits until the daemon holds a first token.
fn settled(world: &World) {
    let ok = poll(Duration::from_secs(10), || (world.broker.credential("github")["state"] == "ok").then_some(()));
    assert!(ok.is_some(), "no first token: {}", world.broker.status());
}

/// Waits until the thread that resolved the platform's name has ended, soon
/// after the refresh.
fn one_thread(pid: u32) {
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    eventually("one thread is left", Duration::from_secs(3), || threads() == 1);
}

/// Returns strace's log of these processes for a minute, if this machine allows
/// it.
fn a_minute_of(world: &World, pids: &[u32]) -> Option<String> {
    if !can(&[Ability::Strace, Ability::LookIntoClosed]) {
        return None;
    }
    let trace = world.path().join("strace");
    let mut strace = program("strace")
        .args(["-f", "-q", "-o"])
        .arg(&trace)
        .args(pids.iter().flat_map(|pid| ["-p".into(), pid.to_string()]))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let attached = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("\nTracerPid:\t{}\n", strace.id()))
    };
    eventually("strace is attached", Duration::from_secs(5), || pids.iter().all(attached));
    thread::sleep(MINUTE);
    kill(Pid::from_raw(i32::try_from(strace.id()).unwrap()), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    Some(fs::read_to_string(&trace).unwrap())
}

/// True for a call that wasn't cut off when strace attached or detached.
fn returned(line: &str) -> bool {
    let asleep = ["<detached ...>", "<unfinished ...>"].iter().any(|end| line.trim_end().ends_with(end));
    !asleep || line.contains(" resumed>")
}

/// True for a call in which a process sleeps.
fn waits(line: &str) -> bool {
    let line = line.trim_start();
    let call = line.strip_prefix("<... ").map_or_else(|| line.split('(').next(), |resumed| resumed.split(' ').next());
    call.is_some_and(|call| {
        ["poll", "ppoll", "epoll_wait", "epoll_pwait", "restart_syscall", "clock_nanosleep", "futex"].contains(&call)
    })
}
