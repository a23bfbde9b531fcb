//! strace, attached to a running process.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program;
use crate::wait::poll;

/// An strace that stays attached until it is dropped. It then detaches from a
/// process that is still alive.
pub struct Strace(Child);

impl Strace {
    /// Attaches with these options and waits until strace traces the process.
    /// Returns `None` if that fails.
    pub fn attach(pid: Pid, options: &[String]) -> Option<Self> {
        let mut command = program("strace");
        command.args(options).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut strace = Self(command.spawn().ok()?);
        let own = format!("\nTracerPid:\t{}\n", strace.0.id());
        let attached = poll(Duration::from_secs(10), || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let over = matches!(strace.0.try_wait(), Ok(Some(_)) | Err(_));
            (over || status.contains(&own)).then_some(!over)
        });
        (attached == Some(true)).then_some(strace)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        if poll(Duration::from_secs(5), || self.0.try_wait().ok().flatten()).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
