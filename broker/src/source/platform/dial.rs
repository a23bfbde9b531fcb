//! Connects to the platform, directly or through a proxy.

use std::error::Error;

use http::{Uri, uri::Scheme};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_service::Service;

use super::endpoint::Endpoint;
use super::proxy::{Proxies, Proxy};
use super::tls::{self, Roots};
use crate::credential::lease::{Class, Failure};
use crate::system::text::untrusted;

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

pub(super) type PlatformStream = Box<dyn Io>;

pub(super) struct Route {
    proxy: Option<Proxy>,
}

impl Route {
    pub(super) fn new(endpoint: &Endpoint, proxies: &Proxies) -> Result<Self, Failure> {
        Ok(Self { proxy: Proxy::for_endpoint(endpoint, proxies)? })
    }

    /// Returns ` through proxy HOST:PORT` for messages; empty without a proxy.
    pub(super) fn via(&self) -> String {
        self.proxy.as_ref().map_or_else(String::new, |p| format!(" through proxy {}:{}", untrusted(p.host()), p.port()))
    }

    /// Returns the proxy's credentials. Besides the bearer, they are what an answer might echo and
    /// a message must not show.
    pub(super) fn proxy_secret(&self) -> Option<&str> {
        let auth = self.proxy.as_ref()?.auth.as_ref()?.to_str().ok()?;
        Some(auth.strip_prefix("Basic ").unwrap_or(auth))
    }

    /// Returns the proxy that gets the request itself, as proxies do for plain http.
    pub(super) fn forward_proxy(&self, endpoint: &Endpoint) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !endpoint.is_https())
    }
}

pub(super) async fn connect(endpoint: &Endpoint, route: &Route, roots: &Roots) -> Result<PlatformStream, Failure> {
    let mut wire: PlatformStream = match &route.proxy {
        None => Box::new(connect_tcp(endpoint.host(), endpoint.port()).await?),
        Some(proxy) => {
            let tcp = connect_tcp(proxy.host(), proxy.port()).await?;
            if proxy.is_https() { Box::new(tls::connect(tcp, proxy.host(), roots).await?) } else { Box::new(tcp) }
        }
    };
    if !endpoint.is_https() {
        return Ok(wire);
    }
    if let Some(proxy) = &route.proxy {
        open_tunnel(&mut wire, endpoint, proxy).await.map_err(|why| {
            Failure::new(Class::Connect, format!("no tunnel to {}{}: {why}", endpoint.place(), route.via()))
        })?;
    }
    Ok(Box::new(tls::connect(wire, endpoint.host(), roots).await?))
}

/// Opens a TCP connection. Tries all addresses of a name, IPv6 and IPv4 in parallel.
async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let failed = |why: String| {
        Failure::new(
            Class::Connect,
            format!(
                "no connection to {}:{port}: {}; check the address and the network",
                untrusted(host),
                untrusted(&why)
            ),
        )
    };
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query("/")
        .build()
        .map_err(|e| failed(e.to_string()))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let stream = connector.call(uri).await.map_err(|e| {
        let mut root: &dyn Error = &e;
        while let Some(source) = root.source() {
            root = source;
        }
        failed(root.to_string())
    })?;
    Ok(TokioIo::into_inner(stream))
}

/// Asks `proxy` for a connection to the endpoint's host. The host sends nothing before the TLS
/// handshake begins, so all bytes that are read here are the proxy's answer.
async fn open_tunnel(wire: &mut PlatformStream, endpoint: &Endpoint, proxy: &Proxy) -> Result<(), String> {
    const MAX_HEAD: usize = 8 * 1024;
    let host = endpoint.uri().host().unwrap_or_default();
    let target = format!("{host}:{}", endpoint.port());
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(auth) = &proxy.auth {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(auth.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let broken = |e: std::io::Error| format!("the connection to the proxy failed: {e}");
    wire.write_all(&request).await.map_err(broken)?;
    wire.flush().await.map_err(broken)?;
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err("the proxy's answer is too long".to_owned());
        }
        if wire.read_buf(&mut head).await.map_err(broken)? == 0 {
            return Err("the proxy closed the connection".to_owned());
        }
        if head.windows(4).any(|w| w == b"\r\n\r\n") {
            break;
        }
    }
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    match status {
        Some(code) if code.starts_with('2') => Ok(()),
        Some("407") => Err("the proxy requires other credentials; put them in its URL".to_owned()),
        _ => Err(format!("the proxy answered `{}`", untrusted(&line))),
    }
}
