//! Serves the metrics over HTTP, on a loopback address or a Unix socket.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Service;
use crate::config::MetricsListen;
use crate::system::clock;
use crate::system::listening_socket::{BoundSocket, SocketError, SocketPlan};
use crate::system::log_limit::{LogLimiter, MINUTE};

/// Largest number of scrapers at a time. A further one waits.
const SCRAPERS: usize = 4;

/// Time limit for one scrape, from its connection to the end of its response.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a connection couldn't be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Content type from OpenMetrics 1.0, "Overall structure".
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub enum MetricsListener {
    Tcp(TcpListener),
    /// The `BoundSocket` removes the socket file at the end.
    Unix(UnixListener, #[expect(dead_code, reason = "its drop removes the socket file")] BoundSocket),
}

#[derive(Debug)]
pub enum ListenError {
    Tcp(io::Error),
    Unix(SocketError),
}

impl MetricsListener {
    /// # Errors
    /// Returns an error if the address is in use or the socket can't be created.
    pub async fn new(at: &MetricsListen) -> Result<Self, ListenError> {
        match at {
            MetricsListen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await.map_err(ListenError::Tcp)?)),
            MetricsListen::Unix(path) => {
                let plan = SocketPlan { path: path.clone(), mode: 0o666, group: None, make_folder: false };
                let (listener, bound) = plan.bind().map_err(ListenError::Unix)?;
                Ok(Self::Unix(UnixListener::from_std(listener).map_err(ListenError::Tcp)?, bound))
            }
        }
    }

    /// Serves until it is dropped. The numbers contain no secret, so every client that can
    /// connect may read them.
    pub async fn serve(self, service: Arc<Service>) {
        let permits = Arc::new(Semaphore::new(SCRAPERS));
        let mut error_lines = LogLimiter::default();
        while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
            let service = Arc::clone(&service);
            let accepted = match &self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| ScrapeStream::Tcp(stream)),
                Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| ScrapeStream::Unix(stream)),
            };
            match accepted {
                Err(error) => {
                    if let Some(unlogged) = error_lines.due(clock::now().boot, MINUTE) {
                        tracing::warn!(%error, unlogged, "scrapers can't be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Ok(stream) => {
                    tokio::spawn(async move {
                        let _permit = permit;
                        let _ = timeout(DEADLINE, stream.serve(service)).await;
                    });
                }
            }
        }
    }
}

enum ScrapeStream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl ScrapeStream {
    async fn serve(self, service: Arc<Service>) {
        match self {
            Self::Tcp(stream) => serve_scrape(stream, service).await,
            Self::Unix(stream) => serve_scrape(stream, service).await,
        }
    }
}

async fn serve_scrape(stream: impl AsyncRead + AsyncWrite + Unpin, service: Arc<Service>) {
    let respond = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &service);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    // An error is ignored: a scraper that disconnects loses only its own scrape.
    let _ = http.keep_alive(false).max_buf_size(8 * 1024).serve_connection(TokioIo::new(stream), respond).await;
}

fn respond(request: &Request<Incoming>, service: &Service) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, service.metrics.encode(&service.registry(), clock::now())),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "only /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(error) => write!(f, "the metrics can't be served at their configured address: {error}"),
            Self::Unix(error) => write!(f, "the metrics can't be served: {error}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tcp(error) => Some(error),
            Self::Unix(error) => Some(error),
        }
    }
}
