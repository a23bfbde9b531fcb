//! A configured command that prints a credential, run without a shell.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::AsyncRead;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::note::{self, MAX_NOTE};
use crate::credential::lease::{Class, Failure, Fresh, SourceKind};
use crate::errands::{RunnerClient, RunnerRequest};
use crate::system::clock;
use crate::system::program::{self, ProcessGroup};
use crate::system::secret_buffer::SecretBuffer;
use crate::system::text::untrusted;

pub struct CommandSource {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    timeout: Duration,
    /// Who runs it in our place, and under what name it is known there.
    by: Option<(RunnerClient, Arc<str>)>,
}

/// What a command did.
struct CommandEnd {
    status: ExitStatus,
    stdout: SecretBuffer,
    stderr: Vec<u8>,
}

impl CommandSource {
    /// Runs `argv` with `env` for its whole environment, but for folders of
    /// other users: the daemon's own holds credentials.
    #[must_use]
    pub fn new(argv: Vec<String>, env: BTreeMap<String, String>, timeout: Duration) -> Self {
        Self { argv, env, timeout, by: None }
    }

    /// The same, run by the helper process, which finds it in the
    /// configuration under this credential's name.
    #[must_use]
    pub fn by(self, errands: RunnerClient, credential: Arc<str>) -> Self {
        Self { by: Some((errands, credential)), ..self }
    }

    /// # Errors
    /// If it can't be started, fails, takes too long, or prints no credential.
    pub async fn fetch(&self) -> Result<Fresh, Failure> {
        let printed = match &self.by {
            None => self.print().await?,
            Some((errands, credential)) => errand(errands, credential).await?,
        };
        let place = format!("what {} printed", self.name());
        note::parse(printed.as_bytes(), &place, clock::now(), SourceKind::Command)
    }

    fn name(&self) -> String {
        format!("command {}", untrusted(self.argv.first().map_or("", |n| n)))
    }

    /// Runs it here.
    ///
    /// # Errors
    /// If it can't be started, fails, takes too long, or prints what is no text.
    pub async fn print(&self) -> Result<Zeroizing<String>, Failure> {
        let name = self.name();
        let outcome = timeout(self.timeout, self.run(&name)).await.map_err(|_| {
            Failure::new(Class::Timeout, format!("{name} took longer than {:?} and was killed", self.timeout))
        })??;
        if !outcome.status.success() {
            let stderr = String::from_utf8_lossy(&outcome.stderr);
            return Err(Failure::new(
                Class::Body,
                format!("{name} failed ({}) and said: {}", outcome.status, untrusted(stderr.trim())),
            ));
        }
        if outcome.stdout.len() > MAX_NOTE {
            return Err(Failure::new(Class::Body, format!("{name} printed more than {MAX_NOTE} bytes")));
        }
        let text = std::str::from_utf8(&outcome.stdout).map_err(|_| {
            Failure::new(Class::Body, format!("what {name} printed holds bytes that are no UTF-8 text"))
        })?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// The one place that starts a process. Whenever this future ends, so does
    /// the process, with all that it started.
    async fn run(&self, name: &str) -> Result<CommandEnd, Failure> {
        let failed = |what: String| Failure::new(Class::Config, format!("{name} {what}"));
        let (program, args) =
            self.argv.split_first().ok_or_else(|| Failure::new(Class::Config, "the command is empty"))?;
        let mut child = program::command(program, self.env.clone(), Uid::effective())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(program::not_started(program, &e)))?;
        let _group = ProcessGroup::led_by(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = tokio::join!(read_capped(stdout), read_capped(stderr));
        let status = child.wait().await.map_err(|e| failed(format!("was lost: {e}")))?;
        Ok(CommandEnd { status, stdout, stderr: stderr.to_vec() })
    }
}

async fn errand(errands: &RunnerClient, credential: &str) -> Result<Zeroizing<String>, Failure> {
    let class = |name: &str| [Class::Timeout, Class::Body].into_iter().find(|c| c.name() == name);
    match errands.run(RunnerRequest::Fetch { credential: credential.to_owned() }).await {
        Ok(printed) => Ok(printed.map(|p| p.0).unwrap_or_default()),
        Err(trouble) => Err(Failure::new(class(&trouble.class).unwrap_or(Class::Config), trouble.message)),
    }
}

/// Reads one byte more than a note may have, then no further, so that the
/// writer dies of the closed pipe.
async fn read_capped(pipe: Option<impl AsyncRead + Unpin>) -> SecretBuffer {
    match pipe {
        // What came before an error is judged like any other text.
        Some(pipe) => SecretBuffer::read_async(pipe, MAX_NOTE + 1).await.0,
        None => SecretBuffer::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, timeout: Duration) -> Result<Fresh, Failure> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        CommandSource::new(argv, env, timeout).fetch().await
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn its_first_line_is_the_credential() {
        let fresh = sh("echo ghs_a", LONG).await.unwrap();
        assert_eq!(fresh.secret.expose(), "ghs_a");
        assert_eq!(fresh.source, SourceKind::Command);
    }

    #[tokio::test]
    async fn it_inherits_nothing_of_the_daemons_environment() {
        let fresh = sh("echo \"${CARGO:-none}\"", LONG).await.unwrap();
        assert_eq!(fresh.secret.expose(), "none");
    }

    #[tokio::test]
    async fn its_stderr_is_quoted_escaped_and_redacted() {
        let failure = sh("printf 'no\\033 ghs_canary' >&2; exit 3", LONG).await.unwrap_err();
        assert_eq!(failure.class, Class::Body);
        assert!(failure.message.contains("exit status: 3"), "{failure}");
        assert!(failure.message.ends_with("no\\u{1b} ghs_[redacted]"), "{failure}");
    }

    #[tokio::test]
    async fn a_hanging_command_ends_with_its_time() {
        let fetch = sh("sleep 600", Duration::from_millis(100));
        let failure = timeout(LONG, fetch).await.expect("it ends").unwrap_err();
        assert_eq!(failure.class, Class::Timeout);
    }

    #[tokio::test]
    async fn a_fetch_that_ends_early_takes_the_commands_children_along() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", pid_file.display());
        let begun = async {
            while !pid_file.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            outcome = sh(&script, LONG) => panic!("it hangs until it is dropped: {outcome:?}"),
            () = begun => {}
        }
        let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        let stat = format!("/proc/{pid}/stat");
        let gone = async {
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, gone).await.expect("the grandchild is killed");
    }

    #[tokio::test]
    async fn endless_output_is_cut_off() {
        let failure = sh("exec cat /dev/zero", LONG).await.unwrap_err();
        assert_eq!(failure.class, Class::Body);
    }

    #[tokio::test]
    async fn a_missing_program_is_a_fault_of_the_configuration() {
        let command = CommandSource::new(vec!["/nowhere".into()], BTreeMap::new(), LONG);
        assert_eq!(command.fetch().await.unwrap_err().class, Class::Config);
    }
}
