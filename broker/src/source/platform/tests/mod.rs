//! Tests of the platform source with a scripted server on loopback.

mod bearers;
mod hostile;
mod proxied;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Far more time than any test takes, so that a hang fails and a slow machine
/// doesn't.
const LONG: Duration = Duration::from_secs(60);

const BEARER: &str = "bearer-canary";
const TOKEN: &str = "ghs_tokencanary";

/// Reaction of the server once it has read a request's head.
#[derive(Clone)]
enum Act {
    /// Sends the text and closes the connection.
    Say(String),
    /// Sends the text and holds the connection open.
    Hold(String),
    /// Sends the text, then one byte after another, slowly, as long as it can.
    Drip(String),
    /// Sends the text, then up to this many bytes, and counts them.
    Flood(String, u64),
    /// Sends a text that depends on the bearer.
    ByBearer(fn(&str) -> String),
}

#[derive(Clone, Default)]
struct Log {
    heads: Arc<Mutex<Vec<String>>>,
    flooded: Arc<Mutex<u64>>,
}

impl Log {
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn bearers(&self) -> Vec<String> {
        let heads = self.heads();
        heads.iter().map(|head| header(head, "authorization").unwrap().replace("Bearer ", "")).collect()
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// Answers each connection with the next act, and all later ones with the last.
async fn server(acts: Vec<Act>) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log = Log::default();
    let shared = log.clone();
    tokio::spawn(async move {
        for at in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let act = acts[at.min(acts.len() - 1)].clone();
            tokio::spawn(play(stream, act, shared.clone()));
        }
    });
    (address, log)
}

async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, act: Act, log: Log) {
    let Some(head) = read_head(&mut stream).await else { return };
    let bearer = header(&head, "authorization").unwrap_or_default().replace("Bearer ", "");
    log.heads.lock().unwrap().push(head);
    let said = match &act {
        Act::Say(text) | Act::Hold(text) | Act::Drip(text) | Act::Flood(text, _) => text.clone(),
        Act::ByBearer(judge) => judge(&bearer),
    };
    let mut written = stream.write_all(said.as_bytes()).await;
    match act {
        Act::Say(_) | Act::ByBearer(_) => {
            let _ = stream.shutdown().await;
        }
        Act::Hold(_) => {
            let _ = stream.read(&mut [0]).await;
        }
        Act::Drip(_) => {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while written.is_ok() {
                pace.tick().await;
                written = stream.write_all(b" ").await;
            }
        }
        Act::Flood(_, bytes) => {
            let chunk = vec![b' '; 4096];
            while written.is_ok() && *log.flooded.lock().unwrap() < bytes {
                written = stream.write_all(&chunk).await;
                *log.flooded.lock().unwrap() += chunk.len() as u64;
            }
        }
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Returns an answer with a token that expires in 50 min.
fn good(token: &str) -> String {
    let end = jiff::Timestamp::from_second(i64::try_from(clock::now().wall.as_secs()).unwrap() + 3000).unwrap();
    reply("200 OK", "", &format!(r#"{{"token":"{token}","expires_at":"{end}"}}"#))
}

/// A folder with a bearer file in it.
struct Configs(tempfile::TempDir);

impl Configs {
    fn new() -> Self {
        let configs = Self(molecule_test_kit::temp_folder());
        configs.write(BEARER);
        configs
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(".auth_token")
    }

    fn write(&self, content: &str) {
        std::fs::write(self.path(), content).unwrap();
    }
}

fn settings(url: &str, bearer_path: &Path) -> PlatformSettings {
    PlatformSettings {
        url: url.to_owned(),
        workspace_id: "w1".to_owned(),
        bearer_path: bearer_path.to_owned(),
        proxies: Proxies::default(),
        roots: Roots::default(),
        allow_missing_expiry: false,
        timeout: LONG,
    }
}

fn platform(address: &str, configs: &Configs) -> Platform {
    Platform::new(settings(&format!("http://{address}/base/"), &configs.path())).unwrap()
}

/// Checks that a failure contains no canary in either of its forms.
fn assert_clean(failure: &Failure) {
    assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure}");
}
