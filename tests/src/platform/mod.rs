//! The platform, scripted: it answers the broker's question for an
//! installation token in every way that a real one has, and records what it
//! was asked.
//!
//! It follows the outside contract: both endpoints, bearer from a settable
//! value, a cache of its own that is renewed shortly before expiry or none at
//! all. [`Mode`] says how it behaves right now; [`Platform::next`] scripts
//! single answers before that.

mod answer;
mod mint;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::{Request, Response};

pub use self::mint::Policy;
use crate::certs::Ca;
use crate::ledger::{Ledger, Minted};
use crate::serve::{Body, Server};

/// How the platform behaves. Each stands for an incident that happened to
/// somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Normal,
    /// Normal, after this long.
    Slow(Duration),
    /// 401, whatever the bearer.
    Unauthorized,
    Forbidden,
    /// 404: no GitHub App is configured.
    NotConfigured,
    RateLimited(RetryAfter),
    /// 500 with the platform's own text.
    Fails,
    /// Accepts and never answers.
    Hangs,
    /// A good answer, one byte a second.
    Drips,
    /// A good answer that breaks off half way.
    Cut,
    /// The connection is reset as soon as something was asked on it.
    Reset,
    /// 200 with a web page: a captive portal, a proxy's login.
    Html,
    /// 200 with 64 MiB of JSON that never comes to the point.
    Huge,
    /// 302 to this address.
    Redirects(String),
    /// 200 with JSON whose values have the wrong types.
    WrongType,
    /// A good answer but for the token's text.
    TokenText(String),
    /// A good answer but for `expires_at`, left out where `None`.
    ExpiryText(Option<String>),
    /// A good answer but for an expiry an hour ago.
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
    /// Seconds that the platform's clock is ahead (or behind, where negative).
    Skewed(i64),
}

/// One request as the platform saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: SystemTime,
    pub path: String,
    /// What stood behind `Bearer `.
    pub bearer: Option<String>,
    pub bearer_ok: bool,
    /// The status it was answered with; 0 where it never is.
    pub status: u16,
    pub user_agent: Option<String>,
    /// The token that was handed out.
    pub token: Option<String>,
    /// Whether the answer was of use: that token, whole and with its true
    /// expiry, unless the connection broke.
    pub good: bool,
}

pub struct Platform {
    server: Server,
    shared: Arc<Mutex<State>>,
}

pub(crate) struct State {
    ledger: Arc<Ledger>,
    mode: Mode,
    script: VecDeque<Mode>,
    bearer: String,
    workspace: String,
    date: DateHeader,
    cache: mint::Cache,
    asked: Vec<Asked>,
}

impl Platform {
    /// Tokens live `life`; over TLS where a certificate authority is given.
    pub fn start(ledger: &Arc<Ledger>, life: Duration, policy: Policy, tls: Option<&Ca>) -> Self {
        let shared = Arc::new(Mutex::new(State {
            ledger: ledger.clone(),
            mode: Mode::Normal,
            script: VecDeque::new(),
            bearer: String::from("bearer-of-the-test-city"),
            workspace: String::from("ws-1"),
            date: DateHeader::Honest,
            cache: mint::Cache::new(life, policy),
            asked: Vec::new(),
        }));
        let state = shared.clone();
        let handler = move |request| answer_to(state.clone(), request);
        Self { server: Server::start(tls.map(Ca::acceptor), handler), shared }
    }

    /// For `PLATFORM_URL`.
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

    pub fn set_mode(&self, mode: Mode) {
        self.server.reset(mode == Mode::Reset);
        self.state().mode = mode;
    }

    /// Answers the next requests like this, one each, then by the mode again.
    /// A reset is no answer: as the next it is one that never comes.
    pub fn next(&self, modes: impl IntoIterator<Item = Mode>) {
        self.state().script.extend(modes);
    }

    pub fn set_date(&self, date: DateHeader) {
        self.state().date = date;
    }

    pub fn set_life(&self, life: Duration) {
        self.state().cache.life = life;
    }

    pub fn set_policy(&self, policy: Policy) {
        self.state().cache.policy = policy;
    }

    /// Hands out the current token again and again, however little it has
    /// left.
    pub fn repeat_token(&self, repeat: bool) {
        self.state().cache.repeat = repeat;
    }

    /// Puts a token with this much life left into the platform's cache, as if
    /// it had been minted a while ago.
    pub fn put_in_cache(&self, left: Duration) -> Minted {
        let state = &mut *self.state();
        state.cache.put(&state.ledger, left)
    }

    /// Connections are refused from now on, and those that are open are cut.
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

    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    pub fn asked_count(&self) -> usize {
        self.state().asked.len()
    }

    pub fn forget_asked(&self) {
        self.state().asked.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().expect("no holder of this lock panics")
    }
}

/// Decides under the lock, then answers at the mode's own pace without it.
async fn answer_to(shared: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Body> {
    let reply = {
        let state = &mut *shared.lock().expect("no holder of this lock panics");
        let mode = state.script.pop_front().unwrap_or_else(|| state.mode.clone());
        answer::decide(state, &mode, &request)
    };
    reply.send().await
}
