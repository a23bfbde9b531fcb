//! The helper process: does the errands that its daemon names, until that
//! ends. It starts programs and holds no credential but those on their way.

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
use crate::runner::{file, gh, host, minimal_environment};
use crate::source;

/// How long a hook may take.
const HOOK: Duration = Duration::from_secs(30);

/// Reads the configuration again: its faults in words.
pub type Reread = Box<dyn Fn() -> Result<Config, String>>;

struct Runner {
    config: Mutex<Arc<Config>>,
    /// One at a time, or an older token could come to lie over a newer one.
    sinks: AsyncMutex<()>,
    /// How many tokens came for them: of those in line only the newest counts.
    tokens: AtomicU64,
}

/// Serves the daemon at the other end of stdin until it is gone.
///
/// # Errors
/// stdin is no socket, or can't be polled.
pub async fn serve(config: Config, reread: Reread) -> io::Result<()> {
    let line = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    line.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(line)?.into_split();
    let write = Arc::new(AsyncMutex::new(write));
    let runner = Arc::new(Runner {
        config: Mutex::new(Arc::new(config)),
        sinks: AsyncMutex::new(()),
        tokens: AtomicU64::new(0),
    });
    let mut lines = LineReader::new(read);
    // Dropped with all that runs as soon as the daemon is gone.
    let mut running = JoinSet::new();
    while let Some(RequestLine { id, errand }) = lines.next().await {
        while running.try_join_next().is_some() {}
        if let RunnerRequest::Reload = errand {
            let result = reread().map(|config| runner.replace(config)).map_err(RunnerError::new);
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
    // If the daemon is gone, so are we in a moment.
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
            RunnerRequest::Hook(happened) => hook(&config, &happened).await.map(|()| None).map_err(RunnerError::new),
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
            match host(config) {
                Some(host) => faults.extend(gh::log_in(token, &host, user).await.err()),
                None => faults.push("gh needs a credential with an https origin of its own".into()),
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

async fn hook(config: &Config, happened: &HookEvent) -> Result<(), String> {
    let hook = if happened.class.is_some() { &config.hooks.on_failure } else { &config.hooks.on_refresh };
    let Some(argv) = hook else { return Ok(()) };
    let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
    let mut env = minimal_environment(&["HOME", "XDG_RUNTIME_DIR"]);
    env.insert("MOLECULE_BROKER_SOCKET".into(), config.socket.path.display().to_string());
    env.insert("MOLECULE_CREDENTIAL".into(), happened.credential.clone());
    env.insert("MOLECULE_OUTCOME".into(), happened.outcome.clone());
    env.insert("MOLECULE_CLASS".into(), happened.class.clone().unwrap_or_default());
    child::run(ChildJob { argv: &argv, env, stdin: None, user: None, time: HOOK }).await
}

async fn fetch(config: &Config, name: &str) -> Result<CommandOutput, RunnerError> {
    let credential = config.credential(name).ok_or_else(|| RunnerError::new("there is no such credential"))?;
    let SourceConfig::Command { argv, env } = &credential.source else {
        return Err(RunnerError::new("its source is no command"));
    };
    source::CommandSource::new(argv.clone(), env.clone(), credential.policy.attempt_timeout)
        .print()
        .await
        .map(CommandOutput)
        .map_err(|failure| RunnerError { class: failure.class.name().into(), message: failure.message })
}
