//! From what the refresh side observes to the runner that it causes.

use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::config::Config;
use crate::errands::RunnerClient;
use crate::errands::wire::{HookEvent, RunnerRequest};
use crate::refresh::{Held, RefreshOutcome};

pub struct RefreshNotifier {
    runner: Option<RunnerClient>,
    wanted: RwLock<Subscriptions>,
}

/// The sinks and hooks of the current configuration.
struct Subscriptions {
    /// The credential that the sinks get, if there is any sink.
    sunk: Option<Arc<str>>,
    on_refresh: bool,
    on_failure: bool,
}

impl RefreshNotifier {
    /// `runner` is `None` if the runner process wasn't needed at the start.
    #[must_use]
    pub fn new(runner: Option<RunnerClient>, config: &Config) -> Self {
        Self { runner, wanted: RwLock::new(Subscriptions::of(config)) }
    }

    #[must_use]
    pub fn runner(&self) -> Option<&RunnerClient> {
        self.runner.as_ref()
    }

    /// Waits for the helper's end; for ever where there is none.
    pub async fn runner_gone(&self) {
        match &self.runner {
            Some(runner) => runner.gone().await,
            None => std::future::pending().await,
        }
    }

    /// Takes over another configuration, here and in the helper.
    pub fn reload(&self, config: &Config) {
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = Subscriptions::of(config);
        if self.runner.is_some() {
            self.send("reload of sinks and hooks", RunnerRequest::Reload);
        } else if config.needs_runner() {
            tracing::warn!(
                "sinks, hooks or a command are configured now but weren't at the start; restart the daemon to have them run"
            );
        }
    }

    /// Told of everything that came of a refresh; returns at once.
    pub fn observe(&self, credential: &str, outcome: RefreshOutcome, held: &Held) {
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        let happened = |outcome: &str, class: Option<&str>| {
            RunnerRequest::Hook(HookEvent {
                credential: credential.to_owned(),
                outcome: outcome.to_owned(),
                class: class.map(str::to_owned),
            })
        };
        match outcome {
            RefreshOutcome::Refreshed { .. } => {
                let sunk = wanted.sunk.as_deref() == Some(credential);
                if let Some(lease) = held.current.as_deref().filter(|_| sunk) {
                    let token = Zeroizing::new(lease.secret.expose().to_owned());
                    self.send("sinks", RunnerRequest::Sink { token });
                }
                if wanted.on_refresh {
                    self.send("hook on_refresh", happened("refreshed", None));
                }
            }
            RefreshOutcome::Failed(class) if wanted.on_failure => {
                self.send("hook on_failure", happened("failed", Some(class.name())));
            }
            _ => {}
        }
    }

    fn send(&self, what: &'static str, errand: RunnerRequest) {
        let Some(runner) = self.runner.clone() else { return };
        tokio::spawn(async move {
            match runner.run(errand).await {
                Ok(_) => tracing::debug!("{what}: done"),
                Err(trouble) => tracing::warn!("{what}: {}", trouble.message),
            }
        });
    }
}

impl Subscriptions {
    fn of(config: &Config) -> Self {
        Self {
            sunk: config.sinks.any().then(|| Arc::clone(&config.sinks.credential)),
            on_refresh: config.hooks.on_refresh.is_some(),
            on_failure: config.hooks.on_failure.is_some(),
        }
    }
}
