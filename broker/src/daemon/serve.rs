//! The composition root: starts the daemon from a configuration, reloads it, and stops it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::config::{self, Config};
use crate::credential::lease::Failure;
use crate::daemon::assemble::{ActiveConfig, Assembled, assemble};
use crate::daemon::audit::Audit;
use crate::daemon::driver::{Driver, Observed, Observer};
use crate::daemon::lease_memory::{self, Inherited, LeaseSaver};
use crate::daemon::metrics::Metrics;
use crate::daemon::refresh_log::RefreshLog;
use crate::daemon::refresh_notifier::RefreshNotifier;
use crate::daemon::server::scrape::{ListenError, MetricsListener};
use crate::daemon::server::{RootCommand, Service, accept};
use crate::daemon::service_manager::ServiceManager;
use crate::daemon::status::DaemonInfo;
use crate::errands::RunnerClient;
use crate::refresh::RefreshOutcome;
use crate::system::clock;

/// Time for which a stopping daemon still answers clients that already wait: a platform's
/// usual round trip, and little compared with the one or two seconds that a container or a
/// service is given to stop.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Everything that the daemon is started with.
pub struct Serve {
    pub config: Config,
    pub listener: UnixListener,
    /// Reads the configuration again for a reload. The error is the text of all its problems.
    pub reread: Box<dyn Fn() -> Result<Config, String>>,
    /// Changes the log filter.
    pub refilter: Box<dyn Fn(&str)>,
    /// State that the previous daemon left.
    pub inherited: Inherited,
    /// The connection to the runner process, if one was needed.
    pub runner: Option<std::os::unix::net::UnixStream>,
    pub sandbox: String,
    /// The service manager that started this daemon and holds its leases for the next one.
    pub manager: ServiceManager,
    /// Number of restarts before this daemon.
    pub restarts: u64,
}

#[derive(Debug)]
pub enum ServeError {
    Io(io::Error),
    Source(Failure),
    Audit(io::Error),
    Metrics(ListenError),
    /// The runner process has ended. Only a new daemon starts a new one.
    RunnerEnded,
}

impl Serve {
    /// Serves until a signal stops it.
    ///
    /// # Errors
    /// Returns the reason why the daemon can't start or can't continue.
    pub async fn run(self) -> Result<(), ServeError> {
        let Self { config, listener, reread, refilter, inherited, runner, sandbox, manager, restarts } = self;
        let mut signals = ServeSignals::new()?;
        let metrics = Arc::new(Metrics::new(restarts));
        let notifier = Arc::new(RefreshNotifier::new(runner.map(RunnerClient::connect).transpose()?, &config));
        let manager = Arc::new(manager);
        let Inherited { carried, sequence, names } = inherited;
        let saver = Arc::new(LeaseSaver::new(Arc::clone(&manager), sequence, names));
        let observer = observer(Arc::clone(&metrics), Arc::clone(&notifier), Arc::clone(&saver));
        let Assembled { registry, drivers } = assemble(&config, None, &carried, &observer, notifier.runner())?;
        let audit = Audit::new(config.log.format, config.log.audit_file.as_deref()).map_err(ServeError::Audit)?;
        let about = DaemonInfo { started: clock::now().boot, sandbox, restarts };
        let (commands, mut received) = mpsc::channel(8);
        let service = Arc::new(Service::new(registry, audit, metrics, about, commands));
        let mut scraping = JoinSet::new();
        if let Some(at) = &config.metrics {
            scraping.spawn(MetricsListener::new(at).await?.serve(Arc::clone(&service)));
        }
        let mut refreshing = Refreshing::default();
        refreshing.start(drivers);
        let waiting = TaskTracker::new();
        let accepting = accept::serve(listener, Arc::clone(&service), waiting.clone());
        tokio::pin!(accepting);
        let keepalives = manager.send_keepalives();
        tokio::pin!(keepalives);
        manager.ready();
        saver.replace(&service.registry());
        tracing::info!(version = env!("CARGO_PKG_VERSION"), socket = %config.socket.path.display(), "serving");
        let mut running = Running { config, reread, refilter };
        loop {
            let reload = tokio::select! {
                ended = &mut accepting => return Ok(ended?),
                error = refreshing.next_error() => return Err(error.into()),
                request = signals.next() => match request {
                    RootRequest::Stop => {
                        manager.stopping();
                        tracing::info!("stopping");
                        waiting.close();
                        let _ = timeout(LAST_ANSWERS, waiting.wait()).await;
                        return Ok(());
                    }
                    RootRequest::Reload => None,
                },
                Some(RootCommand::Reload(answer)) = received.recv() => Some(answer),
                Err(error) = &mut keepalives => return Err(error.into()),
                () = notifier.runner_gone() => return Err(ServeError::RunnerEnded),
            };
            manager.reloading();
            let outcome = running.reload(&service, &observer, &notifier);
            saver.replace(&service.registry());
            let result = match outcome {
                Ok(drivers) => {
                    tracing::info!("configuration reloaded");
                    let registry = service.registry();
                    refreshing.retain(|name| registry.named(name).is_some());
                    refreshing.start(drivers);
                    Ok(())
                }
                Err(faults) => {
                    tracing::error!("configuration not reloaded, the running one stays: {faults}");
                    Err(faults)
                }
            };
            manager.ready();
            if let Some(answer) = reload {
                let _ = answer.send(result);
            }
        }
    }
}

/// State that a reload starts from.
struct Running {
    /// The current configuration.
    config: Config,
    reread: Box<dyn Fn() -> Result<Config, String>>,
    refilter: Box<dyn Fn(&str)>,
}

impl Running {
    /// Reads the configuration and applies it. If any step fails, the running one stays
    /// unchanged.
    fn reload(
        &mut self,
        service: &Service,
        observer: &Observer,
        notifier: &RefreshNotifier,
    ) -> Result<Vec<Driver>, String> {
        let mut config = (self.reread)()?;
        let registry = service.registry();
        let active = ActiveConfig { config: &self.config, registry: &registry };
        let next =
            assemble(&config, Some(active), &lease_memory::from_registry(&registry), observer, notifier.runner());
        let next = next.map_err(|failure| failure.message)?;
        let audit = service.audit.reopen(config.log.audit_file.as_deref());
        audit.map_err(|error| {
            format!("the audit file can't be opened: {error}; a folder other than the one at the start needs a restart")
        })?;
        (self.refilter)(&config.log.filter);
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        keep_start_only_settings(&self.config, &mut config);
        notifier.reload(&config);
        service.replace_registry(next.registry);
        self.config = config;
        Ok(next.drivers)
    }
}

/// The refresh task of each credential, by name.
#[derive(Default)]
struct Refreshing {
    tasks: JoinSet<io::Result<()>>,
    handles: BTreeMap<Arc<str>, AbortHandle>,
}

impl Refreshing {
    /// Starts one task for each driver. A running task of the same name is aborted; its callers
    /// find the new one in the registry.
    fn start(&mut self, drivers: Vec<Driver>) {
        for driver in drivers {
            let name = Arc::clone(&driver.name);
            if let Some(old) = self.handles.insert(name, self.tasks.spawn(driver.run())) {
                old.abort();
            }
        }
    }

    fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.handles.retain(|name, task| {
            let wanted = is_wanted(name);
            if !wanted {
                task.abort();
            }
            wanted
        });
    }

    /// Waits until a task ends with an error, and returns the error.
    async fn next_error(&mut self) -> io::Error {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(error))) => return error,
                // A reload aborts tasks.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Keeps the settings that a reload can't change, and logs a warning for each that differs.
fn keep_start_only_settings(running: &Config, read: &mut Config) {
    for (key, differs) in [
        ("[socket] path, mode, group", socket_differs(&running.socket, &read.socket)),
        ("[metrics] listen", running.metrics != read.metrics),
        ("[log] format", running.log.format != read.log.format),
    ] {
        if differs {
            tracing::warn!("{key}: the changed value takes effect at the next start");
        }
    }
    read.socket = config::SocketConfig { allow: std::mem::take(&mut read.socket.allow), ..running.socket.clone() };
    read.metrics.clone_from(&running.metrics);
    read.log.format = running.log.format;
}

fn socket_differs(running: &config::SocketConfig, read: &config::SocketConfig) -> bool {
    (&running.path, running.mode, running.group) != (&read.path, read.mode, read.group)
}

/// Returns the observer of all refreshes. It passes each outcome to the lease memory, the
/// metrics, the sinks and hooks, and the log.
fn observer(metrics: Arc<Metrics>, notifier: Arc<RefreshNotifier>, saver: Arc<LeaseSaver>) -> Observer {
    let refresh_log = RefreshLog::default();
    Arc::new(move |Observed { credential, source, outcome, held }| {
        if outcome != RefreshOutcome::RejectedAgain {
            saver.observe(credential, held);
        }
        metrics.refreshed(credential, source, outcome);
        notifier.observe(credential, outcome, held);
        refresh_log.log_outcome(credential, outcome, held, clock::now());
    })
}

struct ServeSignals {
    term: Signal,
    int: Signal,
    reload: Signal,
}

impl ServeSignals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> RootRequest {
        tokio::select! {
            _ = self.term.recv() => RootRequest::Stop,
            _ = self.int.recv() => RootRequest::Stop,
            _ = self.reload.recv() => RootRequest::Reload,
        }
    }
}

enum RootRequest {
    Stop,
    Reload,
}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ListenError> for ServeError {
    fn from(error: ListenError) -> Self {
        Self::Metrics(error)
    }
}

impl From<Failure> for ServeError {
    fn from(failure: Failure) -> Self {
        Self::Source(failure)
    }
}

impl std::fmt::Display for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the daemon can't continue: {error}"),
            Self::Audit(error) => write!(
                f,
                "the audit file can't be opened: {error}; make its folder, and let uid {} write there, or correct audit_file below [log]",
                nix::unistd::geteuid()
            ),
            Self::Metrics(error) => write!(f, "{error}"),
            Self::Source(failure) => write!(f, "{}", failure.message),
            Self::RunnerEnded => f.write_str(
                "the runner process, which starts commands, sinks and hooks, has ended; the daemon ends too, so that \
                 its supervisor starts both again",
            ),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::Audit(error) => Some(error),
            Self::Metrics(error) => Some(error),
            Self::Source(failure) => Some(failure),
            Self::RunnerEnded => None,
        }
    }
}
