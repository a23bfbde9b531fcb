//! One request, one reply: its content in each mode, and the pace at which it
//! is sent.

use std::future::pending;
use std::io;
use std::time::{Duration, SystemTime};

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER, USER_AGENT};
use hyper::http::HeaderName;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{DateHeader, PlatformMode, PlatformRequest, RetryAfter, State};
use crate::ledger::MintedToken;
use crate::serve::{Body, full};

const HUGE: usize = 64 * 1024 * 1024;
const JSON: &str = "application/json";

pub(super) struct Reply {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    pace: Pace,
}

enum Pace {
    AtOnce,
    After(Duration),
    Never,
    BytePerSecond,
    HalfThenCut,
    /// The body again and again, up to [`HUGE`].
    Flood,
}

pub(super) fn decide<B>(state: &mut State, mode: &PlatformMode, request: &Request<B>) -> Reply {
    let path = String::from(request.uri().path());
    let bearer = header(request, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ").map(String::from));
    let bearer_ok = bearer.as_deref() == Some(state.bearer.as_str());
    let mut token = None;

    let mut reply = if request.method() != Method::GET {
        Reply::json(405, &json!({"error": "method not allowed"}))
    } else if !is_endpoint(&path, &state.workspace) {
        Reply::json(404, &json!({"error": "no such page"}))
    } else if !bearer_ok && !matches!(mode, PlatformMode::Hangs | PlatformMode::Reset) {
        Reply::json(401, &json!({"error": "unauthorized"}))
    } else {
        by_mode(mode, &mut || {
            let minted = state.cache.token(&state.ledger);
            token = Some(minted.token.clone());
            minted
        })
    };
    if let Some(date) = date(state.date) {
        reply.headers.push((DATE, date));
    }
    state.asked.push(PlatformRequest {
        at: SystemTime::now(),
        path,
        bearer,
        bearer_ok,
        status: reply.status,
        user_agent: header(request, &USER_AGENT),
        good: token.is_some() && matches!(mode, PlatformMode::Normal | PlatformMode::Slow(_)),
        token,
    });
    reply
}

fn by_mode(mode: &PlatformMode, mint: &mut dyn FnMut() -> MintedToken) -> Reply {
    let mut good = |pace| Reply { pace, ..Reply::json(200, &token_json(&mint())) };
    match mode {
        PlatformMode::Normal => good(Pace::AtOnce),
        PlatformMode::Slow(delay) => good(Pace::After(*delay)),
        PlatformMode::Drips => good(Pace::BytePerSecond),
        PlatformMode::Cut => good(Pace::HalfThenCut),
        PlatformMode::Unauthorized => Reply::json(401, &json!({"error": "unauthorized"})),
        PlatformMode::Forbidden => Reply::json(403, &json!({"error": "forbidden"})),
        PlatformMode::NotConfigured => Reply::json(404, &json!({"error": "no GitHub App configured"})),
        PlatformMode::RateLimited(after) => {
            let mut reply = Reply::json(429, &json!({"error": "too many requests"}));
            reply.headers.extend(after.text().map(|text| (RETRY_AFTER, text)));
            reply
        }
        PlatformMode::Fails => Reply::json(500, &json!({"error": "token refresh failed"})),
        // The server resets new connections itself. This is for requests that
        // were already on their way.
        PlatformMode::Hangs | PlatformMode::Reset => {
            Reply { status: 0, pace: Pace::Never, ..Reply::json(200, &Value::Null) }
        }
        PlatformMode::Html => Reply {
            headers: vec![(CONTENT_TYPE, String::from("text/html; charset=utf-8"))],
            body: b"<!doctype html><title>Please log in</title><h1>Welcome</h1>\n".to_vec(),
            ..Reply::json(200, &Value::Null)
        },
        PlatformMode::Huge => {
            Reply { body: vec![b' '; 64 * 1024], pace: Pace::Flood, ..Reply::json(200, &Value::Null) }
        }
        PlatformMode::Redirects(to) => {
            Reply { headers: vec![(LOCATION, to.clone())], ..Reply::json(302, &json!({"error": "moved"})) }
        }
        PlatformMode::WrongType => Reply::json(200, &json!({"token": 42, "expires_at": ["soon"]})),
        PlatformMode::TokenText(text) => {
            let mut answer = token_json(&mint());
            answer["token"] = json!(text);
            Reply::json(200, &answer)
        }
        PlatformMode::ExpiryText(text) => {
            let mut answer = token_json(&mint());
            match text {
                Some(text) => answer["expires_at"] = json!(text),
                None => answer = json!({"token": answer["token"]}),
            }
            Reply::json(200, &answer)
        }
        PlatformMode::ExpiryPast => {
            let mut answer = token_json(&mint());
            let past = SystemTime::now() - Duration::from_secs(3600);
            answer["expires_at"] = json!(rfc3339(past));
            Reply::json(200, &answer)
        }
    }
}

impl Reply {
    fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, String::from(JSON))],
            body: value.to_string().into_bytes(),
            pace: Pace::AtOnce,
        }
    }

    pub(super) async fn send(self) -> Response<Body> {
        let mut response = Response::builder().status(if self.status == 0 { 200 } else { self.status });
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = match self.pace {
            Pace::AtOnce => full(self.body),
            Pace::After(delay) => {
                sleep(delay).await;
                full(self.body)
            }
            Pace::Never => pending().await,
            Pace::BytePerSecond => pour(self.body, Duration::from_secs(1)),
            Pace::HalfThenCut => {
                response = response.header("content-length", self.body.len());
                cut(&self.body)
            }
            Pace::Flood => flood(Bytes::from(self.body)),
        };
        response.body(body).expect("fixed headers and a status make a response")
    }
}

fn pour(body: Vec<u8>, gap: Duration) -> Body {
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        for byte in body {
            if sender.send_data(Bytes::from(vec![byte])).await.is_err() {
                return;
            }
            sleep(gap).await;
        }
    });
    channel.boxed()
}

fn cut(body: &[u8]) -> Body {
    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(half).await;
        // Half of the answer must be on the wire before the connection is cut.
        // Otherwise the client sees no answer at all.
        sleep(Duration::from_millis(20)).await;
        sender.abort(io::Error::other("cut by the script"));
    });
    channel.boxed()
}

fn flood(chunk: Bytes) -> Body {
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        for _ in 0..HUGE / chunk.len() {
            if sender.send_data(chunk.clone()).await.is_err() {
                return;
            }
        }
    });
    channel.boxed()
}

impl RetryAfter {
    fn text(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Seconds(seconds) => Some(seconds.to_string()),
            Self::Date(ahead) => Some(httpdate::fmt_http_date(SystemTime::now() + *ahead)),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

fn is_endpoint(path: &str, workspace: &str) -> bool {
    path == "/admin/github-installation-token"
        || path.strip_prefix("/workspaces/").and_then(|rest| rest.strip_suffix("/github-installation-token"))
            == Some(workspace)
}

fn token_json(minted: &MintedToken) -> Value {
    json!({
        "token": minted.token,
        "expires_at": rfc3339(minted.expires),
        "a_key_from_the_future": true,
    })
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(time).expect("a time near now is a timestamp");
    format!("{stamp:.3}")
}

fn date(kind: DateHeader) -> Option<String> {
    let now = SystemTime::now();
    let shown = match kind {
        DateHeader::Absent => return None,
        DateHeader::Honest => now,
        DateHeader::Skewed(by) if by < 0 => now - Duration::from_secs(by.unsigned_abs()),
        DateHeader::Skewed(by) => now + Duration::from_secs(by.unsigned_abs()),
    };
    Some(httpdate::fmt_http_date(shown))
}

fn header<B>(request: &Request<B>, name: &HeaderName) -> Option<String> {
    let value = request.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
