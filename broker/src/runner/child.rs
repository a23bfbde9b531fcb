//! Runs one program as a given user, with a time limit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::system::program::{self, ProcessGroup};
use crate::system::text::untrusted_without;
use crate::system::users::User;

/// The part of the program's stderr that is read, in bytes.
const MAX_STDERR: u64 = 4096;

pub struct ChildJob<'a> {
    pub argv: &'a [OsString],
    /// The whole environment. Folders that another user controls are removed from it.
    pub env: BTreeMap<String, String>,
    /// Written to the program's stdin, and redacted in error messages.
    pub stdin: Option<&'a Zeroizing<String>>,
    /// The user to run as; `None` for this process's own.
    pub user: Option<&'a User>,
    /// The time after which the program is killed.
    pub time_limit: Duration,
}

/// Runs the program to its end.
///
/// # Errors
/// Says why the program couldn't be started or didn't succeed. The text is safe to show.
pub async fn run(job: ChildJob<'_>) -> Result<(), String> {
    let name = job.argv.first().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match timeout(job.time_limit, run_untimed(&job, &name)).await {
        Ok(result) => result,
        Err(_) => Err(format!("{name} took longer than {:?} and was killed", job.time_limit)),
    }
}

async fn run_untimed(job: &ChildJob<'_>, name: &str) -> Result<(), String> {
    let (program, arguments) = job.argv.split_first().ok_or("there is no program to run")?;
    let user = job.user.map_or_else(Uid::effective, |user| user.uid);
    let mut command = program::command(program, job.env.clone(), user);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(user) = job.user.filter(|user| user.uid != Uid::effective()) {
        if !Uid::effective().is_root() {
            let us = Uid::effective();
            return Err(format!(
                "{name} must run as {} (uid {}), which uid {us} can't; run the daemon as root or as that user",
                user.name, user.uid
            ));
        }
        // std also drops the supplementary groups when it sets the uid.
        command.gid(user.gid.as_raw()).uid(user.uid.as_raw());
    }
    let mut child = command.spawn().map_err(|error| format!("{name} {}", program::not_started(name, &error)))?;
    let _group = ProcessGroup::led_by(&child);
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), job.stdin) {
        // A program that doesn't read its stdin reports the reason itself.
        let _ = pipe.write_all(text.as_bytes()).await;
    }
    let mut stderr = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        let _ = pipe.take(MAX_STDERR).read_to_end(&mut stderr).await;
    }
    let status = child.wait().await.map_err(|error| format!("{name} can't be waited for: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let secret = job.stdin.map_or("", |text| text.trim());
    Err(format!("{name} failed ({status}): {}", untrusted_without(String::from_utf8_lossy(&stderr).trim(), &[secret])))
}
