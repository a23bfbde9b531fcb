//! Sends one GET over a new connection.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, DATE, HOST, HeaderMap, HeaderName, LOCATION, PROXY_AUTHORIZATION, RETRY_AFTER,
    USER_AGENT,
};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::answer::{MAX_BODY, PlatformAnswer};
use super::dial::{PlatformStream, Route};
use super::endpoint::Endpoint;
use crate::credential::lease::{Class, Failure};
use crate::credential::secret::Secret;
use crate::system::secret_buffer::SecretBuffer;
use crate::system::text::untrusted;

const AGENT: &str = concat!("molecule-broker/", env!("CARGO_PKG_VERSION"));

/// Limit in bytes for the head and for each read, so that memory use stays small.
const MAX_BUFFER: usize = 16 * 1024;

/// Time limit for the body of an error response. The response counts even without its body.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct PlatformReply {
    status: u16,
    headers: HeaderMap,
    body: SecretBuffer,
}

impl PlatformReply {
    pub(super) fn as_answer(&self) -> PlatformAnswer<'_> {
        let header = |name: HeaderName| self.headers.get(name).and_then(|v| v.to_str().ok());
        PlatformAnswer {
            status: self.status,
            date: header(DATE),
            retry_after: header(RETRY_AFTER),
            location: header(LOCATION),
            body: &self.body,
        }
    }
}

pub(super) async fn get(
    wire: PlatformStream,
    endpoint: &Endpoint,
    route: &Route,
    bearer: &Secret,
) -> Result<PlatformReply, Failure> {
    let request = request(endpoint, route, bearer)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|e| classify_error(&e, endpoint, route))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| classify_error(&e, endpoint, route))?;
        read_reply(response, endpoint, route).await
    };
    // The connection is driven here and not by a task, so that dropping this future closes it. When
    // the connection ends, the exchange returns the result.
    let drive = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        reply = exchange => reply,
        never = drive => match never {},
    }
}

fn request(endpoint: &Endpoint, route: &Route, bearer: &Secret) -> Result<Request<Empty<Bytes>>, Failure> {
    let unfit = |_| Failure::new(Class::Config, "the request can't be written as HTTP");
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", bearer.expose()))
        .map_err(|_| Failure::new(Class::Config, "the bearer holds bytes that an HTTP header can't carry"))?;
    authorization.set_sensitive(true);
    let proxy = route.forward_proxy(endpoint);
    let target = match (proxy, endpoint.uri().path_and_query()) {
        (None, Some(path)) => path.as_str().to_owned(),
        _ => endpoint.uri().to_string(),
    };
    let mut request = Request::get(target)
        .header(HOST, endpoint.host_header())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .header(AUTHORIZATION, authorization)
        .body(Empty::new())
        .map_err(unfit)?;
    if let Some(auth) = proxy.and_then(|p| p.auth.clone()) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, auth);
    }
    Ok(request)
}

async fn read_reply(
    response: Response<Incoming>,
    endpoint: &Endpoint,
    route: &Route,
) -> Result<PlatformReply, Failure> {
    let (head, incoming) = response.into_parts();
    let mut body = SecretBuffer::with_capacity(1024);
    if head.status.as_u16() == 200 {
        read_body(&mut body, incoming)
            .await
            .map_err(|e| Failure { class: Class::Body, ..classify_error(&e, endpoint, route) })?;
    } else {
        // A partial or missing body isn't a failure: the status says enough.
        let _ = timeout(ERROR_BODY_TIMEOUT, read_body(&mut body, incoming)).await;
    }
    Ok(PlatformReply { status: head.status.as_u16(), headers: head.headers, body })
}

/// Reads the body, up to one byte more than an answer may have.
async fn read_body(body: &mut SecretBuffer, mut incoming: Incoming) -> hyper::Result<()> {
    while let Some(frame) = incoming.frame().await {
        if let Some(data) = frame?.data_ref() {
            let room = (MAX_BODY + 1).saturating_sub(body.len());
            body.extend(&data[..data.len().min(room)]);
            if body.len() > MAX_BODY {
                break;
            }
        }
    }
    Ok(())
}

fn classify_error(e: &hyper::Error, endpoint: &Endpoint, route: &Route) -> Failure {
    let mut class = match e.is_parse() || e.is_parse_too_large() {
        true => Class::Body,
        false => Class::Connect,
    };
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        let io = cause.downcast_ref::<std::io::Error>();
        let inner = io.and_then(std::io::Error::get_ref);
        if cause.is::<rustls::Error>() || inner.is_some_and(|i| i.is::<rustls::Error>()) {
            class = Class::Tls;
        }
        source = cause.source();
    }
    Failure::new(class, format!("GET {}{} failed: {}", endpoint.place(), route.via(), untrusted(&text)))
}
