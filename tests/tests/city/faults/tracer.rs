//! strace, which makes system calls fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use molecule_tests::strace::Strace;
use nix::unistd::Pid;

/// A system call, the error that it fails with, and the selection of its calls.
pub(crate) type Row<'a> = (&'a str, &'a str, &'a str);

pub(crate) fn words(trace: &Path, (call, error, when): Row<'_>) -> Vec<String> {
    let inject = format!("inject={call}:error={error}:when={when}");
    let only = format!("trace={call}");
    let more = ["-e", &only, "-e", &inject].map(String::from);
    watch(trace).into_iter().chain(more).collect()
}

/// Traces without making a call fail.
pub(crate) fn watch(trace: &Path) -> Vec<String> {
    ["strace", "-f", "-qq", "-o", &trace.display().to_string()].map(String::from).to_vec()
}

/// Returns how often each call was made.
pub(crate) fn calls(trace: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).unwrap().lines() {
        // After the number of the process.
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

/// Makes calls of a running process fail until it is dropped.
pub(crate) struct Tracer {
    _strace: Strace,
    trace: PathBuf,
}

impl Tracer {
    #[track_caller]
    pub(crate) fn attach(pid: Pid, trace: &Path, row: Row<'_>) -> Self {
        let _ = fs::remove_file(trace);
        let strace = Strace::attach(pid, &words(trace, row)[1..]).expect("strace is attached");
        Self { _strace: strace, trace: trace.to_path_buf() }
    }

    pub(crate) fn injected(&self) -> usize {
        injected(&self.trace)
    }
}
