//! A scripted platform. It answers the broker's requests for an installation
//! token in every way that a real platform has answered, and records the
//! requests.
//!
//! It follows the outside contract: both endpoints, a bearer that tests can
//! set, and its own cache, which is renewed shortly before expiry, or none.
//! [`PlatformMode`] is its current behaviour. [`Platform::script_next`] scripts
//! single answers that come before that.

mod answer;
mod mint;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::{Request, Response};

pub use self::mint::MintPolicy;
use crate::certs::CertAuthority;
use crate::ledger::{Ledger, MintedToken};
use crate::serve::{Body, Server};

/// How the platform behaves. Each mode reproduces an incident that has
/// happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformMode {
    Normal,
    /// Like `Normal`, after this delay.
    Slow(Duration),
    /// 401 for every bearer.
    Unauthorized,
    Forbidden,
    /// 404: no GitHub App is configured.
    NotConfigured,
    RateLimited(RetryAfter),
    /// 500 with the real platform's text.
    Fails,
    /// Accepts the connection and never answers.
    Hangs,
    /// A good answer, one byte a second.
    Drips,
    /// A good answer that is cut off in the middle.
    Cut,
    /// The connection is reset as soon as a request arrives on it.
    Reset,
    /// 200 with a web page: a captive portal, a proxy's login.
    Html,
    /// 200 with 64 MiB that never become a JSON value.
    Huge,
    /// 302 to this address.
    Redirects(String),
    /// 200 with JSON whose values have the wrong types.
    WrongType,
    /// A good answer, except for the token's text.
    TokenText(String),
    /// A good answer, except for `expires_at`. `None` omits the key.
    ExpiryText(Option<String>),
    /// A good answer, except that it expired an hour ago.
    ExpiryPast,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    None,
    Seconds(u64),
    /// An HTTP date this far ahead.
    Date(Duration),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateHeader {
    Honest,
    Absent,
    /// Seconds by which the platform's clock is ahead (behind, if negative).
    Skewed(i64),
}

/// One request as the platform saw it.
#[derive(Clone, Debug)]
pub struct PlatformRequest {
    pub at: SystemTime,
    pub path: String,
    /// The text after `Bearer `.
    pub bearer: Option<String>,
    pub bearer_ok: bool,
    /// Status of the answer; 0 if it is never answered.
    pub status: u16,
    pub user_agent: Option<String>,
    /// The token in the answer.
    pub token: Option<String>,
    /// True if the answer contained that token, whole and with its true expiry.
    /// The connection may have broken all the same.
    pub good: bool,
}

pub struct Platform {
    server: Server,
    shared: Arc<Mutex<State>>,
}

pub(crate) struct State {
    ledger: Arc<Ledger>,
    mode: PlatformMode,
    script: VecDeque<PlatformMode>,
    bearer: String,
    workspace: String,
    date: DateHeader,
    cache: mint::Cache,
    asked: Vec<PlatformRequest>,
}

impl Platform {
    /// Starts a platform whose tokens live `life`, with TLS if a certificate
    /// authority is given.
    pub fn start(ledger: &Arc<Ledger>, life: Duration, policy: MintPolicy, tls: Option<&CertAuthority>) -> Self {
        let shared = Arc::new(Mutex::new(State {
            ledger: ledger.clone(),
            mode: PlatformMode::Normal,
            script: VecDeque::new(),
            bearer: String::from("bearer-of-the-test-city"),
            workspace: String::from("ws-1"),
            date: DateHeader::Honest,
            cache: mint::Cache::new(life, policy),
            asked: Vec::new(),
        }));
        let state = shared.clone();
        let handler = move |request| answer_to(state.clone(), request);
        Self { server: Server::start(tls.map(CertAuthority::acceptor), handler), shared }
    }

    /// Returns the value for `PLATFORM_URL`.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.server.scheme(), self.server.addr().port())
    }

    pub fn bearer(&self) -> String {
        self.state().bearer.clone()
    }

    pub fn workspace(&self) -> String {
        self.state().workspace.clone()
    }

    pub fn set_bearer(&self, bearer: &str) {
        self.state().bearer = String::from(bearer);
    }

    pub fn set_mode(&self, mode: PlatformMode) {
        self.server.reset(mode == PlatformMode::Reset);
        self.state().mode = mode;
    }

    /// Scripts the answers to the next requests, one each. Afterwards the mode
    /// decides again. A reset can't be scripted for a single request: here it
    /// is an answer that never comes.
    pub fn script_next(&self, modes: impl IntoIterator<Item = PlatformMode>) {
        self.state().script.extend(modes);
    }

    pub fn set_date(&self, date: DateHeader) {
        self.state().date = date;
    }

    pub fn set_life(&self, life: Duration) {
        self.state().cache.life = life;
    }

    pub fn set_policy(&self, policy: MintPolicy) {
        self.state().cache.policy = policy;
    }

    /// Sets whether the current token is returned again and again, however
    /// little life it has left.
    pub fn repeat_token(&self, repeat: bool) {
        self.state().cache.repeat = repeat;
    }

    /// Puts a token with this much life left into the platform's cache, as if
    /// it had been minted a while ago.
    pub fn put_in_cache(&self, left: Duration) -> MintedToken {
        let state = &mut *self.state();
        state.cache.put(&state.ledger, left)
    }

    /// Refuses connections from now on, and cuts the open ones.
    pub fn refuse_connections(&self) {
        self.server.close();
    }

    /// Listens again on the same port.
    pub fn accept_connections(&self) {
        self.server.open();
    }

    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    pub fn requests(&self) -> Vec<PlatformRequest> {
        self.state().asked.clone()
    }

    pub fn request_count(&self) -> usize {
        self.state().asked.len()
    }

    pub fn forget_requests(&self) {
        self.state().asked.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().expect("no holder of this lock panics")
    }
}

/// Decides on the reply under the lock, then sends it without the lock, at the
/// pace of the mode.
async fn answer_to(shared: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Body> {
    let reply = {
        let state = &mut *shared.lock().expect("no holder of this lock panics");
        let mode = state.script.pop_front().unwrap_or_else(|| state.mode.clone());
        answer::decide(state, &mode, &request)
    };
    reply.send().await
}
