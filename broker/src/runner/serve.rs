//! The runner's loop: carries out the daemon's requests until the daemon ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as Socket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::config::{Config, SourceConfig};
use crate::errands::wire::{
    self, CommandOutput, HookEvent, LineReader, ReplyLine, RequestLine, RunnerError, RunnerRequest,
};
use crate::runner::child::{self, ChildJob};
use crate::runner::{file, gh, login_host, minimal_environment};
use crate::source;

/// Time limit for a hook.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the configuration again. The error lists what is wrong with it.
pub type ReloadConfig = Box<dyn Fn() -> Result<Config, String>>;

struct Runner {
    config: Mutex<Arc<Config>>,
    /// Serializes the deliveries, so that an older token can't overwrite a newer one.
    sinks: AsyncMutex<()>,
    /// Counts the tokens that arrived. Of those that wait for the lock, only the newest is
    /// delivered.
    tokens: AtomicU64,
}

/// Serves the daemon at the other end of stdin until the daemon is gone.
///
/// # Errors
/// Returns an error if stdin isn't a socket or can't be polled.
pub async fn serve(config: Config, reload: ReloadConfig) -> io::Result<()> {
    let socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(socket)?.into_split();
    let write = Arc::new(AsyncMutex::new(write));
    let runner = Arc::new(Runner {
        config: Mutex::new(Arc::new(config)),
        sinks: AsyncMutex::new(()),
        tokens: AtomicU64::new(0),
    });
    let mut lines = LineReader::new(read);
    // Dropped as soon as the daemon is gone, which ends everything that still runs.
    let mut running = JoinSet::new();
    while let Some(RequestLine { id, errand }) = lines.next().await {
        while running.try_join_next().is_some() {}
        if let RunnerRequest::Reload = errand {
            let result = reload().map(|config| runner.replace(config)).map_err(RunnerError::new);
            report(&write, id, result.map(|()| None)).await;
            continue;
        }
        let (runner, write) = (Arc::clone(&runner), Arc::clone(&write));
        running.spawn(async move {
            let result = runner.run(errand).await;
            report(&write, id, result).await;
        });
    }
    Ok(())
}

async fn report(write: &AsyncMutex<OwnedWriteHalf>, id: u64, result: Result<Option<CommandOutput>, RunnerError>) {
    // If the daemon is gone, this process is about to end too.
    let _ = wire::send(&mut *write.lock().await, &ReplyLine { id, result }).await;
}

impl Runner {
    fn replace(&self, config: Config) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    async fn run(&self, errand: RunnerRequest) -> Result<Option<CommandOutput>, RunnerError> {
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        match errand {
            RunnerRequest::Sink { token } => self.sink(&config, &token).await.map(|()| None).map_err(RunnerError::new),
            RunnerRequest::Hook(event) => hook(&config, &event).await.map(|()| None).map_err(RunnerError::new),
            RunnerRequest::Fetch { credential } => fetch(&config, &credential).await.map(Some),
            RunnerRequest::Reload => Ok(None),
        }
    }

    async fn sink(&self, config: &Config, token: &Zeroizing<String>) -> Result<(), String> {
        let Some(user) = &config.sinks.user else { return Ok(()) };
        let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        let _turn = self.sinks.lock().await;
        if self.tokens.load(Ordering::Relaxed) != number {
            return Ok(());
        }
        let mut faults = Vec::new();
        if let Some(path) = &config.sinks.file {
            faults.extend(file::write_as(path, token, user).await.err());
        }
        if config.sinks.gh {
            match login_host(config) {
                Some(host) => faults.extend(gh::log_in(token, &host, user).await.err()),
                None => faults.push("the sink gh needs a credential with an https origin that isn't a wildcard".into()),
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

async fn hook(config: &Config, event: &HookEvent) -> Result<(), String> {
    let hook = if event.class.is_some() { &config.hooks.on_failure } else { &config.hooks.on_refresh };
    let Some(argv) = hook else { return Ok(()) };
    let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
    let mut env = minimal_environment(&["HOME", "XDG_RUNTIME_DIR"]);
    env.insert("MOLECULE_BROKER_SOCKET".into(), config.socket.path.display().to_string());
    env.insert("MOLECULE_CREDENTIAL".into(), event.credential.clone());
    env.insert("MOLECULE_OUTCOME".into(), event.outcome.clone());
    env.insert("MOLECULE_CLASS".into(), event.class.clone().unwrap_or_default());
    child::run(ChildJob { argv: &argv, env, stdin: None, user: None, time_limit: HOOK_TIMEOUT }).await
}

async fn fetch(config: &Config, name: &str) -> Result<CommandOutput, RunnerError> {
    let credential = config.credential(name).ok_or_else(|| RunnerError::new("there is no such credential"))?;
    let SourceConfig::Command { argv, env } = &credential.source else {
        return Err(RunnerError::new("its source isn't a command"));
    };
    source::CommandSource::new(argv.clone(), env.clone(), credential.policy.attempt_timeout)
        .output()
        .await
        .map(CommandOutput)
        .map_err(|failure| RunnerError { class: failure.class.name().into(), message: failure.message })
}
