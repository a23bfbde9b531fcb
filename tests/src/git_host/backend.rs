//! `git http-backend` as a CGI program. Bodies are streamed in both directions,
//! so that a large push takes no memory here.

use std::io;
use std::path::Path;
use std::process::Stdio;

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::http::HeaderName;
use hyper::{Request, Response};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::Shared;
use crate::program;
use crate::serve::{Body, full};

/// GitHub's configuration: partial clones, and fetching any object by its name.
const CONFIGURATION: [(&str, &str); 5] = [
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "uploadpack.allowFilter"),
    ("GIT_CONFIG_VALUE_0", "true"),
    ("GIT_CONFIG_KEY_1", "uploadpack.allowAnySHA1InWant"),
    ("GIT_CONFIG_VALUE_1", "true"),
];

pub(super) async fn run(shared: &Shared, user: &str, request: Request<Incoming>) -> Response<Body> {
    match start(&shared.exec_path, &shared.root, user, request).await {
        Ok(response) => response,
        Err(error) => Response::builder()
            .status(500)
            .body(full(format!("http-backend: {error}\n")))
            .expect("a constant response is valid"),
    }
}

async fn start(exec_path: &Path, root: &Path, user: &str, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let mut child = Command::from(program(exec_path.join("git-http-backend")))
        .env_clear()
        .envs(meta_variables(&request))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_EXEC_PATH", exec_path)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(CONFIGURATION)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", user)
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let gone = || io::Error::other("the pipes are gone");
    let stdin = child.stdin.take().ok_or_else(gone)?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or_else(gone)?);

    tokio::spawn(feed(request.into_body(), stdin));
    let response = head(&mut stdout).await?;
    let (sender, channel) = Channel::new(4);
    tokio::spawn(pour(stdout, child, sender));
    response.body(channel.boxed()).map_err(io::Error::other)
}

fn meta_variables<B>(request: &Request<B>) -> Vec<(&'static str, String)> {
    let header = |name: HeaderName| {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let uri = request.uri();
    let optional = [
        ("CONTENT_TYPE", header(CONTENT_TYPE)),
        ("CONTENT_LENGTH", header(CONTENT_LENGTH)),
        ("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING)),
        ("GIT_PROTOCOL", header(HeaderName::from_static("git-protocol"))),
    ];
    let mut all = vec![
        ("REQUEST_METHOD", request.method().to_string()),
        ("PATH_INFO", String::from(uri.path())),
        ("QUERY_STRING", String::from(uri.query().unwrap_or_default())),
        ("SERVER_PROTOCOL", String::from("HTTP/1.1")),
    ];
    all.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    all
}

/// The CGI head: `Status:` sets the status, all else is a header.
async fn head(stdout: &mut BufReader<ChildStdout>) -> io::Result<hyper::http::response::Builder> {
    let mut response = Response::builder();
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(io::Error::other("it ended before the end of its head"));
        }
        let line = line.trim_end();
        match line.split_once(": ") {
            None if line.is_empty() => return Ok(response),
            None => return Err(io::Error::other("its head has a line without a colon")),
            Some((name, status)) if name.eq_ignore_ascii_case("status") => {
                response = response.status(status.get(..3).unwrap_or(status));
            }
            Some((name, value)) => response = response.header(name, value),
        }
    }
}

async fn feed(mut body: Incoming, mut stdin: ChildStdin) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data()
            && stdin.write_all(&data).await.is_err()
        {
            return;
        }
    }
}

/// Owns the child until its last byte, then reaps it.
async fn pour(mut stdout: BufReader<ChildStdout>, mut child: Child, mut sender: Sender<Bytes, io::Error>) {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match stdout.read(&mut chunk).await {
            Ok(0) => break,
            Ok(length) => {
                let data = Bytes::copy_from_slice(&chunk[..length]);
                if sender.send_data(data).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                sender.abort(error);
                break;
            }
        }
    }
    let _ = child.wait().await;
}
