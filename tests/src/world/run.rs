//! Runs a program to its end, with a deadline for it and all its children.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::program;
use crate::wait::poll;

#[derive(Clone, Debug)]
pub struct RunResult {
    /// `None` if it was killed at its deadline.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl RunResult {
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    pub fn code(&self) -> Option<i32> {
        self.status?.code()
    }

    /// True for a failed run that took longer than a quarter of a token's life,
    /// which is the shortest remaining life of a refreshed token. Then the
    /// machine was too slow, and no helper can prevent that failure.
    pub fn outlived(&self, life: Duration) -> bool {
        !self.success() && self.took > life / 4
    }

    /// Panics with all that is known about the run if it failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.success(), "failed: {self:?}");
        self
    }
}

/// Calls `attempt` with tokens that live `life`. If it returns false, because a
/// run outlived its token, calls it again with a life twice as long.
#[track_caller]
pub fn with_long_enough_lives(life: Duration, attempt: impl Fn(Duration) -> bool) {
    let long_enough = [1, 2, 4, 8].into_iter().map(|times| times * life).find(|life| attempt(*life));
    assert!(long_enough.is_some(), "this machine is too slow for tokens of {:?}", 8 * life);
}

/// Runs the command without input.
#[track_caller]
pub fn run(command: &mut Command, within: Duration) -> RunResult {
    run_with_input(command, b"", within)
}

#[track_caller]
pub fn run_with_input(command: &mut Command, input: &[u8], within: Duration) -> RunResult {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A program may end without reading its input.
        let _ = stdin.write_all(input);
    }
    let status = poll(within, || child.try_wait().ok().flatten());
    let took = began.elapsed();
    if status.is_none() {
        let group = i32::try_from(child.id()).expect("a pid fits");
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = child.wait();
    }
    RunResult { status, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default(), took }
}

/// Creates a program with this text, and its folder. Another process writes the
/// file. Otherwise a process that this one forks meanwhile could hold the file
/// open for writing, and then it can't be run (ETXTBSY, execve(2)).
#[track_caller]
pub fn write_program(path: &Path, text: &str) {
    let mut install = program("install");
    install.args(["-D", "-m", "755", "/dev/stdin"]).arg(path);
    run_with_input(&mut install, text.as_bytes(), Duration::from_secs(20)).ok();
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
