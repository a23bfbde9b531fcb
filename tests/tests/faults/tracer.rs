//! strace, for what it can make of a system call's answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use molecule_tests::skip;
use molecule_tests::wait::{eventually, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One system call, the error that it is to fail with, and which of its calls.
pub(crate) type Row<'a> = (&'a str, &'a str, &'a str);

/// Whether strace is there and may attach; says so if not.
pub(crate) fn is_there() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let there = tried.is_ok_and(|status| status.success());
    if !there {
        skip("system calls that fail: strace can't be used here");
    }
    there
}

pub(crate) fn words(trace: &Path, (call, error, when): Row<'_>) -> Vec<String> {
    let inject = format!("inject={call}:error={error}:when={when}");
    let only = format!("trace={call}");
    let more = ["-e", &only, "-e", &inject].map(String::from);
    watch(trace).into_iter().chain(more).collect()
}

/// Makes nothing fail.
pub(crate) fn watch(trace: &Path) -> Vec<String> {
    ["strace", "-f", "-qq", "-o", &trace.display().to_string()].map(String::from).to_vec()
}

/// How often each call was made.
pub(crate) fn calls(trace: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).unwrap().lines() {
        // Behind the number of the process.
        let call = line.split_whitespace().nth(1).and_then(|rest| rest.split_once('('));
        if let Some((name, _)) = call {
            *counts.entry(String::from(name)).or_default() += 1;
        }
    }
    counts
}

pub(crate) fn injected(trace: &Path) -> usize {
    fs::read_to_string(trace).unwrap_or_default().matches("(INJECTED)").count()
}

/// Makes the calls of a process that runs fail, until it is dropped.
pub(crate) struct Tracer {
    strace: Child,
    trace: PathBuf,
}

impl Tracer {
    #[track_caller]
    pub(crate) fn attach(pid: Pid, trace: &Path, row: Row<'_>) -> Self {
        let _ = fs::remove_file(trace);
        let words = words(trace, row);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["-p", &pid.to_string()]).stdin(Stdio::null()).stderr(Stdio::null());
        let tracer = Self { strace: command.spawn().unwrap(), trace: trace.to_path_buf() };
        let status = format!("/proc/{pid}/status");
        let own = format!("\nTracerPid:\t{}\n", tracer.strace.id());
        eventually("strace is attached", Duration::from_secs(10), || {
            fs::read_to_string(&status).unwrap_or_default().contains(&own)
        });
        tracer
    }

    pub(crate) fn injected(&self) -> usize {
        injected(&self.trace)
    }
}

impl Drop for Tracer {
    /// It lets go of a process that still lives.
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.strace.id() as i32), Signal::SIGINT);
        if poll(Duration::from_secs(5), || self.strace.try_wait().ok().flatten()).is_none() {
            let _ = self.strace.kill();
            let _ = self.strace.wait();
        }
    }
}
