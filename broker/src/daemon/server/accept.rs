//! Accepts connections. Most bring their whole request with them and are answered at once,
//! without a task, a timer or a registration of their own. Slower connections get those, and a
//! deadline.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use molecule_protocol::limits::MAX_REQUEST;
use molecule_protocol::request::{self, Request};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, sockopt::PeerCredentials};
use nix::sys::time::TimeSpec;
use nix::unistd::Uid;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::finish;
use super::reply::Reply;
use super::service::{FirstAnswer, Service};
use super::slow::{self, Pending};
use crate::daemon::metrics::Served;
use crate::daemon::registry::CredentialRegistry;
use crate::system::async_fd::watched;
use crate::system::log_limit::{LogLimiter, MINUTE};
use crate::system::peer::{Peer, PeerVerdict};
use crate::system::{clock, scm_rights};

/// Largest number of slow connections at a time. One more is closed, and its client tries
/// again. Connections with a whole request are still served.
const SLOW_CONNECTIONS: usize = 1000;

/// Number of connections that are accepted before other tasks of the daemon get their turn.
const BATCH: usize = 64;

/// Time to wait for a client that has connected and sent nothing yet: several times the
/// duration of a send, and too short for another client to notice.
const FIRST_BYTES_WAIT: TimeSpec = TimeSpec::new(0, 50_000);

/// Pause after running out of descriptors: long enough to cost nothing, and short enough not
/// to be noticed afterwards.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(200);

/// Serves until it is dropped. A connection that `waiting` tracks at that time still gets its
/// answer, if the answer is ready before the daemon ends.
///
/// # Errors
/// Returns an error if the listening socket can't be polled.
pub async fn serve(listener: UnixListener, service: Arc<Service>, waiting: TaskTracker) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    if !scm_rights::refuse(&listener) {
        tracing::debug!("this kernel can't keep descriptors out of requests (Linux 6.16 and later can)");
    }
    let listener = watched(listener)?;
    let permits = Arc::new(Semaphore::new(SLOW_CONNECTIONS));
    let mut scratch = Box::new([0; MAX_REQUEST + 1]);
    let mut admitted = Vec::with_capacity(BATCH);
    let mut shortage_lines = LogLimiter::default();
    loop {
        let mut ready = listener.readable().await?;
        let registry = service.registry();
        let mut drained = false;
        for _ in 0..BATCH {
            match listener.get_ref().accept() {
                Ok((stream, _)) => admitted.extend(admit(&service, &registry, stream, &mut scratch[..])),
                Err(error) => match classify_accept_error(&error) {
                    AcceptStep::AcceptNext => {}
                    AcceptStep::WaitForReadable => {
                        drained = true;
                        break;
                    }
                    AcceptStep::Pause => {
                        log_shortage(&mut shortage_lines, &error);
                        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                        break;
                    }
                },
            }
        }
        await_first_bytes(&admitted);
        for pending in admitted.drain(..) {
            if let Some(pending) = try_serve(&service, &registry, pending, &mut scratch[..]) {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                    service.metrics.request(None, Served::Late, Duration::ZERO);
                    continue;
                };
                waiting.spawn(slow::serve(Arc::clone(&service), pending, permit));
            }
        }
        if drained {
            ready.clear_ready();
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Logs a shortage, at most once a minute, so that a lasting one can't fill the log.
fn log_shortage(lines: &mut LogLimiter, error: &io::Error) {
    if lines.due(clock::now().boot, MINUTE).is_some() {
        tracing::warn!(%error, "connections can't be accepted, trying again; if this lasts, raise the limit of open files");
    }
}

/// Waits for a moment until one of the connections without data has sent something. Most
/// clients send right after they connect, often while they are being admitted, so this costs
/// less than a task for each.
fn await_first_bytes(admitted: &[Pending]) {
    let silent = admitted.iter().filter(|pending| pending.bytes.is_empty());
    let mut watched: Vec<PollFd<'_>> = silent.map(|p| PollFd::new(p.stream.as_fd(), PollFlags::POLLIN)).collect();
    if !watched.is_empty() {
        // The result doesn't matter: the caller reads from all of them next.
        let _ = ppoll(&mut watched, Some(FIRST_BYTES_WAIT), None);
    }
}

/// The next step after an error of accept(2).
enum AcceptStep {
    AcceptNext,
    WaitForReadable,
    Pause,
}

/// Classifies an error of accept(2): an aborted connection is ignored, and a lack of
/// descriptors or memory is temporary.
fn classify_accept_error(error: &io::Error) -> AcceptStep {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => AcceptStep::WaitForReadable,
        Some(Errno::ECONNABORTED | Errno::EINTR | Errno::EPROTO | Errno::EPERM) => AcceptStep::AcceptNext,
        _ => AcceptStep::Pause,
    }
}

/// Decides about the peer before a byte from it is read. Returns a connection that isn't
/// answered yet.
fn admit(
    service: &Service,
    registry: &Arc<CredentialRegistry>,
    stream: UnixStream,
    scratch: &mut [u8],
) -> Option<Pending> {
    let since = clock::now().boot;
    let credentials = getsockopt(&stream, PeerCredentials).ok()?;
    let peer = Peer { uid: Uid::from_raw(credentials.uid()), pid: credentials.pid() };
    match registry.admission.judge(peer.uid) {
        PeerVerdict::Denied => {
            let reply = Reply::denied();
            let _ = finish::send_all(&stream, &reply.bytes);
            service.denials.log_denial(peer, &registry.admission, since);
            service.metrics.request(None, reply.served, Duration::ZERO);
            None
        }
        PeerVerdict::Admitted if service.rates.is_unusual(peer.uid, since) => {
            service.metrics.unusual_rate(peer.uid.as_raw());
            tracing::warn!(
                uid = peer.uid.as_raw(),
                pid = peer.pid,
                "this user asks unusually often: over {} times in a minute; a program may be retrying in a loop",
                super::rates::USUAL
            );
            try_serve(service, registry, Pending { stream, peer, since, bytes: Vec::new() }, scratch)
        }
        PeerVerdict::Admitted => {
            try_serve(service, registry, Pending { stream, peer, since, bytes: Vec::new() }, scratch)
        }
    }
}

/// Answers a request that is complete and needs no waiting. Returns the connection if it must
/// wait.
fn try_serve(
    service: &Service,
    registry: &CredentialRegistry,
    mut pending: Pending,
    scratch: &mut [u8],
) -> Option<Pending> {
    let read = match recv(pending.stream.as_raw_fd(), scratch, MsgFlags::MSG_DONTWAIT) {
        Ok(read) => read,
        Err(Errno::EAGAIN | Errno::EINTR) => return Some(pending),
        Err(_) => return None,
    };
    let whole: &[u8] = if pending.bytes.is_empty() {
        &scratch[..read]
    } else {
        pending.bytes.extend_from_slice(&scratch[..read]);
        &pending.bytes
    };
    match request::find_end(whole, read == 0).map(|end| end.map(|end| Request::parse(&whole[..end]))) {
        Err(fault) | Ok(Some(Err(fault))) => {
            finish::at_once(service, &pending.stream, pending.since, None, &Reply::malformed(fault.reason()));
            None
        }
        Ok(Some(Ok(request))) => match service.answer_now(registry, pending.peer, &request) {
            FirstAnswer::Later => {
                if pending.bytes.is_empty() {
                    pending.bytes = scratch[..read].to_vec();
                }
                Some(pending)
            }
            FirstAnswer::Done(reply) => {
                finish::at_once(service, &pending.stream, pending.since, Some(request.client), &reply);
                None
            }
        },
        Ok(None) => {
            if pending.bytes.is_empty() {
                pending.bytes = scratch[..read].to_vec();
            }
            Some(pending)
        }
    }
}
