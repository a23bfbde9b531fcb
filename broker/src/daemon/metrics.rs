//! Counters in Prometheus's format. All code counts through the methods here. Dashboards rely
//! on the names and labels, so they are all in this file.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use molecule_protocol::request::ClientKind;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::credential::lease::{Class, SourceKind};
use crate::daemon::registry::CredentialRegistry;
use crate::refresh::{CredentialState, RefreshOutcome};
use crate::system::time::Moment;

/// Outcome of a request, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    Ok,
    Silent,
    Refused,
    Denied,
    Malformed,
    /// The request didn't arrive in time, or there was no room for one more slow connection.
    Late,
    /// The client disconnected, or didn't read its answer.
    Lost,
}

pub struct Metrics {
    registry: Registry,
    refreshes: Family<RefreshLabels, Counter>,
    platform_requests: Family<CodeLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    expiry: Family<CredentialLabels, Gauge<f64, AtomicU64>>,
    generation: Family<CredentialLabels, Gauge>,
    rejected: Family<CredentialLabels, Counter>,
    unusual: Family<UserLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefreshLabels {
    credential: String,
    outcome: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabels {
    credential: String,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    client: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CredentialLabels {
    credential: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UserLabels {
    uid: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

impl Metrics {
    /// `restarts` is the number of restarts of the daemon, as its supervisor counts them.
    #[must_use]
    pub fn new(restarts: u64) -> Self {
        let mut registry = Registry::with_prefix("molecule_broker");
        let restart_count = Counter::<u64>::default();
        restart_count.inc_by(restarts);
        let build: Family<VersionLabels, Gauge> = Family::default();
        build.get_or_create(&VersionLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        // Seconds, from a cached answer to an answer that waited for a fetch.
        let buckets = [0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 8.0];
        let metrics = Self {
            refreshes: Family::default(),
            platform_requests: Family::default(),
            requests: Family::default(),
            duration: Histogram::new(buckets),
            expiry: Family::default(),
            generation: Family::default(),
            rejected: Family::default(),
            unusual: Family::default(),
            registry: Registry::default(),
        };
        registry.register("refresh", "Fetches by what came of them", metrics.refreshes.clone());
        registry.register(
            "platform_requests",
            "Requests to the platform by status code",
            metrics.platform_requests.clone(),
        );
        registry.register("requests", "Requests over the socket", metrics.requests.clone());
        registry.register("request_duration_seconds", "From connection to answer", metrics.duration.clone());
        registry.register(
            "token_expiry_seconds",
            "Seconds until what is served dies, 0 where nothing can be served",
            metrics.expiry.clone(),
        );
        registry.register("token_generation", "How many different ones were held", metrics.generation.clone());
        registry.register("rejected", "Credentials that a host rejected", metrics.rejected.clone());
        registry.register("restarts", "How often the daemon was started again", restart_count);
        registry.register("unusual_rate", "Minutes in which a user asked unusually often", metrics.unusual.clone());
        registry.register("build_info", "The running version", build);
        Self { registry, ..metrics }
    }

    /// Counts one request. `client` is `None` if no valid request was read.
    pub fn request(&self, client: Option<ClientKind>, outcome: Served, took: Duration) {
        let client = client.map_or("unknown", ClientKind::name);
        self.requests.get_or_create(&RequestLabels { client, outcome: outcome.name() }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts the outcome of one event of the refresh machine, for a credential with this
    /// kind of source.
    pub fn refreshed(&self, credential: &str, source: Option<SourceKind>, outcome: RefreshOutcome) {
        let (word, class) = match outcome {
            RefreshOutcome::Refreshed { .. } => ("refreshed", "none"),
            RefreshOutcome::SameToken => ("same_token", "none"),
            RefreshOutcome::ExpiresSooner => ("shorter", "none"),
            RefreshOutcome::Failed(class) => ("failed", class.name()),
            RefreshOutcome::Rejected | RefreshOutcome::FallbackRejected => {
                self.rejected.get_or_create(&CredentialLabels { credential: credential.into() }).inc();
                return;
            }
            _ => return,
        };
        self.refreshes.get_or_create(&RefreshLabels { credential: credential.into(), outcome: word, class }).inc();
        // A failure of this class happens before a request is sent: there is no bearer, or no
        // usable address.
        let sent = !matches!(outcome, RefreshOutcome::Failed(Class::Config));
        if source == Some(SourceKind::Platform) && sent {
            self.platform_requests
                .get_or_create(&CodeLabels { credential: credential.into(), code: status_code(outcome) })
                .inc();
        }
    }

    pub fn unusual_rate(&self, uid: u32) {
        self.unusual.get_or_create(&UserLabels { uid }).inc();
    }

    /// Returns all metrics as text. The gauges are computed for `now`.
    #[must_use]
    pub fn encode(&self, registry: &CredentialRegistry, now: Moment) -> String {
        self.expiry.clear();
        for credential in &registry.credentials {
            let label = CredentialLabels { credential: credential.name.to_string() };
            let facts = credential.reader.held().facts(now);
            self.generation.get_or_create(&label).set(facts.generation as i64);
            // Creates the counter: if it appeared with its first event, no increase would show.
            self.rejected.get_or_create(&label).inc_by(0);
            // Keeps exporting 0: if the series vanished, its alert would never fire.
            let left = match facts.state {
                CredentialState::Expired | CredentialState::Rejected | CredentialState::Unavailable => {
                    Some(Duration::ZERO)
                }
                _ => facts.expires_in,
            };
            if let Some(left) = left {
                self.expiry.get_or_create(&label).set(left.as_secs_f64());
            }
        }
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Returns the platform's status code of an outcome, as a label.
fn status_code(outcome: RefreshOutcome) -> &'static str {
    match outcome {
        RefreshOutcome::Failed(class) => match class {
            Class::Http401 => "401",
            Class::Http403 => "403",
            Class::Http404 => "404",
            Class::Http429 => "429",
            Class::Http5xx => "5xx",
            Class::HttpOther => "other",
            Class::Body | Class::Expired => "200",
            Class::Connect | Class::Timeout | Class::Tls | Class::Config => "none",
        },
        _ => "200",
    }
}

impl Served {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}
