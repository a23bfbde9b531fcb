//! The server that all stand-ins share: HTTP/1.1 with or without TLS, on a port
//! that the kernel chooses and that can be closed and opened again.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub type Body = BoxBody<Bytes, io::Error>;
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// Returns the one runtime of all stand-ins in the process. It is separate from
/// any runtime of a test, so that a blocking test never stalls a stand-in.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a machine that runs tests can start two threads")
    })
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

pub struct Server {
    addr: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    connections: Arc<AtomicUsize>,
    resets: Arc<AtomicBool>,
    open: Mutex<Option<Open>>,
    /// Bound, but never listening. It keeps the port reserved while the server
    /// is closed, so that clients are refused and no other process can take the
    /// port.
    _reserved: TcpSocket,
}

struct Open {
    stop: watch::Sender<()>,
    closed: mpsc::Receiver<()>,
}

impl Server {
    pub fn start<F, A>(tls: Option<TlsAcceptor>, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let addr = reserved.local_addr().expect("a bound socket has an address");
        let server = Self {
            addr,
            tls,
            handler: Arc::new(move |request| Box::pin(handler(request))),
            connections: Arc::default(),
            resets: Arc::default(),
            open: Mutex::new(None),
            _reserved: reserved,
        };
        server.open();
        server
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Returns the number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sets whether a connection is reset (RST) as soon as data arrives on it.
    pub fn reset(&self, reset: bool) {
        self.resets.store(reset, Ordering::Relaxed);
    }

    /// Refuses new connections and cuts the open ones. Returns when that is
    /// done.
    pub fn close(&self) {
        let open = self.open.lock().expect("never poisoned").take();
        if let Some(open) = open {
            drop(open.stop);
            // An error only means that the other end is gone already.
            let _ = open.closed.recv_timeout(Duration::from_secs(10));
        }
    }

    /// Listens again on the same port. Does nothing if the server is open.
    pub fn open(&self) {
        let mut open = self.open.lock().expect("never poisoned");
        if open.is_some() {
            return;
        }
        let (stop, stopped) = watch::channel(());
        let (say_closed, closed) = mpsc::channel();
        let (say_ready, ready) = mpsc::channel();
        let socket = bind(self.addr);
        let (tls, handler) = (self.tls.clone(), self.handler.clone());
        let (connections, resets) = (self.connections.clone(), self.resets.clone());
        runtime().spawn(async move {
            let listener = socket.listen(1024).expect("the port is reserved for us");
            let _ = say_ready.send(());
            let mut stop = stopped.clone();
            loop {
                let stream = tokio::select! {
                    _ = stop.changed() => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        Err(_) => continue,
                    },
                };
                connections.fetch_add(1, Ordering::Relaxed);
                let (tls, handler, mut stop) = (tls.clone(), handler.clone(), stopped.clone());
                let resets = resets.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = stop.changed() => {}
                        () = connection(stream, tls, handler, resets) => {}
                    }
                });
            }
            drop(listener);
            let _ = say_closed.send(());
        });
        ready.recv_timeout(Duration::from_secs(10)).expect("the listener task starts");
        *open = Some(Open { stop, closed });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

fn bind(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket can be created");
    socket
        .set_reuseaddr(true)
        .and_then(|()| socket.bind(addr))
        .unwrap_or_else(|error| panic!("cannot bind {addr}: {error}"));
    socket
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler, resets: bool) {
    let _ = stream.set_nodelay(true);
    if resets {
        let _ = stream.readable().await;
        // With a linger time of zero, closing sends a reset (socket(7)).
        let _ = stream.set_zero_linger();
        return;
    }
    match tls {
        None => http(stream, handler).await,
        // A client that breaks off the handshake distrusts our certificate,
        // which may be what the test wants.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                http(stream, handler).await;
            }
        }
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler) {
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // The stand-in sets the date itself: tests omit it or skew it.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
