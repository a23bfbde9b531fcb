//! The platform source. The platform issues GitHub installation tokens to clients that present the
//! workspace's bearer.
//!
//! One fetch is one connection and one GET, or two of each if a bearer that has just changed is
//! refused. The whole fetch ends within the attempt's time limit. Nothing outlives it: no
//! connection pool, no task, no trust store. A fetch happens every 45 min, so a kept connection
//! would save less than its memory costs.
//!
//! - `endpoint`: the request's URL
//! - `bearer`: the request's bearer
//! - [`proxy`](Proxies): selects the proxy
//! - `dial`, `tls`: open the connection; `exchange`: sends one GET over it
//! - [`answer`]: parses the platform's answer, without IO

pub mod answer;
mod bearer;
mod dial;
mod endpoint;
mod exchange;
mod proxy;
#[cfg(test)]
mod tests;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::timeout;

use self::bearer::Bearers;
use self::dial::Route;
use self::endpoint::Endpoint;
pub use self::proxy::Proxies;
pub use self::tls::Roots;
use crate::credential::lease::{Class, Failure, Fresh};
use crate::credential::secret::Secret;
use crate::system::clock;

/// Time limit for one attempt, unless configured otherwise.
pub const ATTEMPT: Duration = Duration::from_secs(7);

#[derive(Clone, PartialEq, Eq)]
pub struct PlatformSettings {
    /// `PLATFORM_URL`: http or https, with any path before the endpoint's own.
    pub url: String,
    /// `WORKSPACE_ID`; empty for the administrator's endpoint.
    pub workspace_id: String,
    /// `{CONFIGS_DIR}/.auth_token`.
    pub bearer_path: PathBuf,
    pub proxies: Proxies,
    pub roots: Roots,
    /// Treat a missing expiry as 60 min.
    pub allow_missing_expiry: bool,
    /// Time limit for one fetch; [`ATTEMPT`] unless configured.
    pub timeout: Duration,
}

pub struct Platform {
    endpoint: Endpoint,
    route: Route,
    roots: Roots,
    bearer_path: PathBuf,
    bearers: Mutex<Bearers>,
    allow_missing_expiry: bool,
    timeout: Duration,
}

impl Platform {
    /// # Errors
    /// Returns an error if the URL, the workspace or the proxy for this URL can't be used.
    pub fn new(settings: PlatformSettings) -> Result<Self, Failure> {
        let endpoint = Endpoint::new(&settings.url, &settings.workspace_id)?;
        Ok(Self {
            route: Route::new(&endpoint, &settings.proxies)?,
            endpoint,
            roots: settings.roots,
            bearer_path: settings.bearer_path,
            bearers: Mutex::default(),
            allow_missing_expiry: settings.allow_missing_expiry,
            timeout: settings.timeout,
        })
    }

    #[must_use]
    pub fn bearer_path(&self) -> &Path {
        &self.bearer_path
    }

    /// Returns the URL of the endpoint, escaped for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        self.endpoint.place()
    }

    /// Fetches a token.
    ///
    /// # Errors
    /// Returns an error if the platform gives no live token within the time limit.
    pub async fn fetch(&self) -> Result<Fresh, Failure> {
        timeout(self.timeout, self.attempt()).await.unwrap_or_else(|_| {
            Err(Failure::new(
                Class::Timeout,
                format!(
                    "GET {}{} didn't end within {:?}: check that the platform is up \
                         and reachable",
                    self.place(),
                    self.route.via(),
                    self.timeout
                ),
            ))
        })
    }

    async fn attempt(&self) -> Result<Fresh, Failure> {
        let bearer = self.with_bearers(|b| b.read(&self.bearer_path))?;
        let first = self.request_token(&bearer).await;
        if !is_refusal(&first) {
            self.with_bearers(|b| b.record_accepted(&bearer, first.is_ok()));
            return first;
        }
        // A new bearer may be in its file before the platform knows it, or may be partly written.
        // The previous bearer may still be valid then.
        let Some(previous) = self.with_bearers(|b| b.previous()) else {
            return first;
        };
        let second = self.request_token(&previous).await;
        if second.is_ok() {
            return second;
        }
        if is_refusal(&second) {
            self.with_bearers(Bearers::forget_previous);
        }
        first
    }

    async fn request_token(&self, bearer: &Secret) -> Result<Fresh, Failure> {
        let wire = dial::connect(&self.endpoint, &self.route, &self.roots).await?;
        let sent = clock::now();
        let reply = exchange::get(wire, &self.endpoint, &self.route, bearer).await?;
        let mut secrets = vec![bearer.expose()];
        secrets.extend(self.route.proxy_secret());
        answer::parse(
            &reply.as_answer(),
            &answer::RequestContext {
                place: &format!("{}{}", self.place(), self.route.via()),
                bearer_path: &self.bearer_path.display().to_string(),
                secrets: &secrets,
                sent,
                received: clock::now(),
                allow_missing_expiry: self.allow_missing_expiry,
            },
        )
    }

    fn with_bearers<T>(&self, act: impl FnOnce(&mut Bearers) -> T) -> T {
        let mut bearers = self.bearers.lock().expect("nothing panics while it holds the bearers");
        act(&mut bearers)
    }
}

fn is_refusal(outcome: &Result<Fresh, Failure>) -> bool {
    matches!(outcome, Err(f) if matches!(f.class, Class::Http401 | Class::Http403))
}
