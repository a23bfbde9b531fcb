//! Sends the runner process a request for each refresh outcome that a sink or hook is configured
//! for.

use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::config::Config;
use crate::errands::RunnerClient;
use crate::errands::wire::{HookEvent, RunnerRequest};
use crate::refresh::{Held, RefreshOutcome};

pub struct RefreshNotifier {
    runner: Option<RunnerClient>,
    subscriptions: RwLock<Subscriptions>,
}

/// The sinks and hooks of the current configuration.
struct Subscriptions {
    /// Name of the credential that the sinks get, if there is a sink.
    sink_credential: Option<Arc<str>>,
    on_refresh: bool,
    on_failure: bool,
}

impl RefreshNotifier {
    /// `runner` is `None` if the runner process wasn't needed at the start.
    #[must_use]
    pub fn new(runner: Option<RunnerClient>, config: &Config) -> Self {
        Self { runner, subscriptions: RwLock::new(Subscriptions::from_config(config)) }
    }

    #[must_use]
    pub fn runner(&self) -> Option<&RunnerClient> {
        self.runner.as_ref()
    }

    /// Waits until the runner process ends. Never returns if there is none.
    pub async fn runner_gone(&self) {
        match &self.runner {
            Some(runner) => runner.gone().await,
            None => std::future::pending().await,
        }
    }

    /// Applies a new configuration, here and in the runner process.
    pub fn reload(&self, config: &Config) {
        *self.subscriptions.write().unwrap_or_else(PoisonError::into_inner) = Subscriptions::from_config(config);
        if self.runner.is_some() {
            self.send("reload of sinks and hooks", RunnerRequest::Reload);
        } else if config.needs_runner() {
            tracing::warn!(
                "sinks, hooks or a command are configured now but weren't at the start; restart the daemon to run them"
            );
        }
    }

    /// Sends the requests for the outcome of a refresh. Returns at once, without waiting for
    /// the runner.
    pub fn observe(&self, credential: &str, outcome: RefreshOutcome, held: &Held) {
        let subscriptions = self.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
        let hook = |outcome: &str, class: Option<&str>| {
            RunnerRequest::Hook(HookEvent {
                credential: credential.to_owned(),
                outcome: outcome.to_owned(),
                class: class.map(str::to_owned),
            })
        };
        match outcome {
            RefreshOutcome::Refreshed { .. } => {
                let has_sink = subscriptions.sink_credential.as_deref() == Some(credential);
                if let Some(lease) = held.current.as_deref().filter(|_| has_sink) {
                    let token = Zeroizing::new(lease.secret.expose().to_owned());
                    self.send("sinks", RunnerRequest::Sink { token });
                }
                if subscriptions.on_refresh {
                    self.send("hook on_refresh", hook("refreshed", None));
                }
            }
            RefreshOutcome::Failed(class) if subscriptions.on_failure => {
                self.send("hook on_failure", hook("failed", Some(class.name())));
            }
            _ => {}
        }
    }

    fn send(&self, what: &'static str, request: RunnerRequest) {
        let Some(runner) = self.runner.clone() else { return };
        tokio::spawn(async move {
            match runner.run(request).await {
                Ok(_) => tracing::debug!("{what}: done"),
                Err(failure) => tracing::warn!("{what}: {}", failure.message),
            }
        });
    }
}

impl Subscriptions {
    fn from_config(config: &Config) -> Self {
        Self {
            sink_credential: config.sinks.any().then(|| Arc::clone(&config.sinks.credential)),
            on_refresh: config.hooks.on_refresh.is_some(),
            on_failure: config.hooks.on_failure.is_some(),
        }
    }
}
