//! One program, run for a time, as a certain user.

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

/// How much of its stderr is read, in bytes.
const WORDS: u64 = 4096;

pub struct ChildJob<'a> {
    pub argv: &'a [OsString],
    /// All of its environment, but for folders that aren't its user's.
    pub env: BTreeMap<String, String>,
    /// Written to it; never shown in what goes wrong.
    pub stdin: Option<&'a Zeroizing<String>>,
    /// `None`: as this_program.
    pub user: Option<&'a User>,
    pub time: Duration,
}

/// # Errors
/// Why it didn't end well, fit to be shown.
pub async fn run(job: ChildJob<'_>) -> Result<(), String> {
    let name = job.argv.first().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match timeout(job.time, attempt(&job, &name)).await {
        Ok(done) => done,
        Err(_) => Err(format!("{name} took longer than {:?} and was killed", job.time)),
    }
}

async fn attempt(job: &ChildJob<'_>, name: &str) -> Result<(), String> {
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
        // std drops the other groups with the uid.
        command.gid(user.gid.as_raw()).uid(user.uid.as_raw());
    }
    let mut child = command.spawn().map_err(|error| format!("{name} {}", program::not_started(name, &error)))?;
    let _group = ProcessGroup::led_by(&child);
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), job.stdin) {
        // One that doesn't read it says for itself why.
        let _ = pipe.write_all(text.as_bytes()).await;
    }
    let mut said = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        let _ = pipe.take(WORDS).read_to_end(&mut said).await;
    }
    let status = child.wait().await.map_err(|error| format!("{name} was lost: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let secret = job.stdin.map_or("", |text| text.trim());
    Err(format!("{name} failed ({status}): {}", untrusted_without(String::from_utf8_lossy(&said).trim(), &[secret])))
}
