//! From what the refresh side observes to the errands that it causes.

use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::config::Config;
use crate::errands::Errands;
use crate::errands::wire::{Errand, Happened};
use crate::refresh::Held;
use crate::refresh::Outcome;

pub struct Outlet {
    errands: Option<Errands>,
    wanted: RwLock<Wanted>,
}

/// What the configuration in force asks for.
struct Wanted {
    /// The credential that the sinks get, if there is any sink.
    sunk: Option<Arc<str>>,
    on_refresh: bool,
    on_failure: bool,
}

impl Outlet {
    /// `errands` is `None` where the helper process wasn't needed at start.
    #[must_use]
    pub fn new(errands: Option<Errands>, config: &Config) -> Self {
        Self { errands, wanted: RwLock::new(Wanted::of(config)) }
    }

    #[must_use]
    pub fn errands(&self) -> Option<&Errands> {
        self.errands.as_ref()
    }

    /// Waits for the helper's end; for ever where there is none.
    pub async fn helper_gone(&self) {
        match &self.errands {
            Some(errands) => errands.gone().await,
            None => std::future::pending().await,
        }
    }

    /// Takes over another configuration, here and in the helper.
    pub fn reload(&self, config: &Config) {
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = Wanted::of(config);
        if self.errands.is_some() {
            self.send("reload of sinks and hooks", Errand::Reload);
        } else if config.needs_runner() {
            tracing::warn!(
                "sinks, hooks or a command are configured now but weren't at the start; restart the daemon to have them run"
            );
        }
    }

    /// Told of everything that came of a refresh; returns at once.
    pub fn observe(&self, credential: &str, outcome: Outcome, held: &Held) {
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        let happened = |outcome: &str, class: Option<&str>| {
            Errand::Hook(Happened {
                credential: credential.to_owned(),
                outcome: outcome.to_owned(),
                class: class.map(str::to_owned),
            })
        };
        match outcome {
            Outcome::Refreshed { .. } => {
                let sunk = wanted.sunk.as_deref() == Some(credential);
                if let Some(lease) = held.current.as_deref().filter(|_| sunk) {
                    let token = Zeroizing::new(lease.secret.expose().to_owned());
                    self.send("sinks", Errand::Sink { token });
                }
                if wanted.on_refresh {
                    self.send("hook on_refresh", happened("refreshed", None));
                }
            }
            Outcome::Failed(class) if wanted.on_failure => {
                self.send("hook on_failure", happened("failed", Some(class.name())));
            }
            _ => {}
        }
    }

    fn send(&self, what: &'static str, errand: Errand) {
        let Some(errands) = self.errands.clone() else { return };
        tokio::spawn(async move {
            match errands.run(errand).await {
                Ok(_) => tracing::debug!("{what}: done"),
                Err(trouble) => tracing::warn!("{what}: {}", trouble.message),
            }
        });
    }
}

impl Wanted {
    fn of(config: &Config) -> Self {
        Self {
            sunk: config.sinks.any().then(|| Arc::clone(&config.sinks.credential)),
            on_refresh: config.hooks.on_refresh.is_some(),
            on_failure: config.hooks.on_failure.is_some(),
        }
    }
}
