//! A configured command that prints a credential, run without a shell.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::AsyncRead;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::token_text::{self, MAX_TOKEN_TEXT};
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
    /// The runner, if it runs the command instead of this process, and the credential's name, by
    /// which the runner finds the command.
    runner: Option<(RunnerClient, Arc<str>)>,
}

/// Status and output of a command that has ended.
struct CommandEnd {
    status: ExitStatus,
    stdout: SecretBuffer,
    stderr: Vec<u8>,
}

impl CommandSource {
    /// Creates a source that runs `argv` with `env` as its whole environment, since this process's
    /// own holds credentials. Folders that another user controls are removed from `env`.
    #[must_use]
    pub fn new(argv: Vec<String>, env: BTreeMap<String, String>, timeout: Duration) -> Self {
        Self { argv, env, timeout, runner: None }
    }

    /// Lets the runner process run the command. The runner finds it in its configuration under this
    /// credential's name.
    #[must_use]
    pub fn run_by(self, runner: RunnerClient, credential: Arc<str>) -> Self {
        Self { runner: Some((runner, credential)), ..self }
    }

    /// Runs the command once and parses its output.
    ///
    /// # Errors
    /// Returns an error if the command can't be started, fails, takes too long, or prints no valid
    /// credential.
    pub async fn fetch(&self) -> Result<Fresh, Failure> {
        let printed = match &self.runner {
            None => self.output().await?,
            Some((runner, credential)) => fetch_by_runner(runner, credential).await?,
        };
        let place = format!("the output of {}", self.name());
        token_text::parse(printed.as_bytes(), &place, clock::now(), SourceKind::Command)
    }

    fn name(&self) -> String {
        format!("command {}", untrusted(self.argv.first().map_or("", |n| n)))
    }

    /// Runs the command in this process and returns its output.
    ///
    /// # Errors
    /// Returns an error if the command can't be started, fails, takes too long, or prints bytes
    /// that aren't UTF-8 text.
    pub async fn output(&self) -> Result<Zeroizing<String>, Failure> {
        let name = self.name();
        let outcome = timeout(self.timeout, self.run(&name)).await.map_err(|_| {
            Failure::new(Class::Timeout, format!("{name} took longer than {:?} and was killed", self.timeout))
        })??;
        if !outcome.status.success() {
            let stderr = String::from_utf8_lossy(&outcome.stderr);
            return Err(Failure::new(
                Class::Body,
                format!("{name} failed ({}) with the error output: {}", outcome.status, untrusted(stderr.trim())),
            ));
        }
        if outcome.stdout.len() > MAX_TOKEN_TEXT {
            return Err(Failure::new(Class::Body, format!("{name} printed more than {MAX_TOKEN_TEXT} bytes")));
        }
        let text = std::str::from_utf8(&outcome.stdout)
            .map_err(|_| Failure::new(Class::Body, format!("the output of {name} isn't UTF-8 text")))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Starts the process and waits for its end. Dropping this future kills the process with all
    /// its children.
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
        let status = child.wait().await.map_err(|e| failed(format!("can't be waited for: {e}")))?;
        Ok(CommandEnd { status, stdout, stderr: stderr.to_vec() })
    }
}

async fn fetch_by_runner(runner: &RunnerClient, credential: &str) -> Result<Zeroizing<String>, Failure> {
    let class = |name: &str| [Class::Timeout, Class::Body].into_iter().find(|c| c.name() == name);
    match runner.run(RunnerRequest::Fetch { credential: credential.to_owned() }).await {
        Ok(printed) => Ok(printed.map(|p| p.0).unwrap_or_default()),
        Err(error) => Err(Failure::new(class(&error.class).unwrap_or(Class::Config), error.message)),
    }
}

/// Reads at most one byte more than a valid output has, and then closes the pipe, so that SIGPIPE
/// ends a program that writes on.
async fn read_capped(pipe: Option<impl AsyncRead + Unpin>) -> SecretBuffer {
    match pipe {
        // After a read error, the bytes before it are used like any other output.
        Some(pipe) => SecretBuffer::read_async(pipe, MAX_TOKEN_TEXT + 1).await.0,
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
        let folder = molecule_test_kit::temp_folder();
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
