//! `serve`: the daemon in the foreground.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, reload};

use clap::Args;

use super::{ExitError, Global, launch};
use crate::config::{Config, LogFormat, log_filter};
use crate::daemon::lease_memory::Inherited;
use crate::daemon::sandbox;
use crate::daemon::serve::Serve;
use crate::daemon::service_manager::{Handed, ServiceManager};
use crate::errands;
use crate::system::exit::{BAD_CONFIGURATION, FAILED};
use crate::system::harden;
use crate::system::log_writer::NonBlockingStderr;

/// Options that `supervise` passes to its daemon, besides systemd's protocol.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// User to serve and to act for, unless configured otherwise
    #[arg(long, hide = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Number of daemons that were started before
    #[arg(long, hide = true, value_name = "N", default_value_t = 0)]
    pub restarts: u64,
    /// End when this process ends
    #[arg(long, hide = true, value_name = "PID")]
    pub supervisor: Option<i32>,
}

/// # Errors
/// Returns status 2 for a bad configuration, and 1 for everything else that keeps the daemon
/// from running.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    harden::no_core();
    if let Some(supervisor) = options.supervisor {
        harden::take_name();
        harden::end_with_parent(supervisor).map_err(|error| ExitError::new(FAILED, error))?;
    }
    let config = launch::config_for(global, options.user.as_deref())
        .map_err(|problems| ExitError::new(BAD_CONFIGURATION, problems))?;
    let refilter = log_to_stderr(&config);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    harden::raise_descriptor_limit();
    let Handed { listener, notify, leases } = Handed::take().map_err(|error| ExitError::new(FAILED, error))?;
    let (listener, _bound) = match listener {
        Some(listener) => (listener, None),
        None => {
            let (listener, bound) = config.socket_plan().bind().map_err(|error| ExitError::new(FAILED, error))?;
            (listener, Some(bound))
        }
    };
    let runner = config
        .needs_runner()
        .then(|| errands::start_runner(config.file.as_deref(), &config.socket.path, options.user.as_deref()))
        .transpose();
    let runner =
        runner.map_err(|error| ExitError::new(FAILED, format!("the runner process can't be started: {error}")))?;
    let (inherited, manager) = (Inherited::read(leases), ServiceManager::from_env(notify));
    // All work that connects, starts processes or takes over descriptors comes before this.
    let sandbox = sandbox::close(&config);
    let (again, user) = (global.clone(), options.user.clone());
    let serve = Serve {
        config,
        listener,
        reread: Box::new(move || launch::config_for(&again, user.as_deref()).map_err(|problems| problems.to_string())),
        refilter,
        runner,
        inherited,
        manager,
        restarts: options.restarts,
        sandbox,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // The thread that resolves a name ends with its refresh. With tokio's
        // default it would wake up ten seconds later, only to end.
        .thread_keep_alive(Duration::from_millis(100))
        .build();
    let runtime = runtime.map_err(|error| ExitError::new(FAILED, error))?;
    let ended = runtime.block_on(serve.run());
    // A name look-up that hangs must not delay the exit.
    runtime.shutdown_background();
    ended.map_err(|error| ExitError::new(FAILED, error))?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the log, and returns a function that changes its filter.
fn log_to_stderr(config: &Config) -> Box<dyn Fn(&str)> {
    let filter = |text: &str| log_filter(text).unwrap_or_else(|| EnvFilter::new("info"));
    let (layer, handle) = reload::Layer::new(filter(&config.log.filter));
    let lines = fmt::layer().with_writer(|| NonBlockingStderr).with_target(false);
    let registry = tracing_subscriber::registry().with(layer);
    // Only tests start the log twice in one process; then the first log stays.
    let _ = match config.log.format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    Box::new(move |text| {
        let _ = handle.reload(filter(text));
    })
}
