//! Accepts connections. Most bring their whole request with them and are answered at once,
//! without a task, a timer or a registration of their own. Slower connections get those, and a
//! deadline.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use molecule_protocol::limits::MAX_REQUEST;
use molecule_protocol::request::{self, Client, Request};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt::PeerCredentials};
use nix::sys::time::TimeSpec;
use nix::unistd::Uid;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

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
const MOMENT: TimeSpec = TimeSpec::new(0, 50_000);

/// Pause after running out of descriptors: long enough to cost nothing, and short enough not
/// to be noticed afterwards.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(200);

/// Serves until it is dropped. Whom `waiting` tracks then, still gets an answer
/// if it comes while the daemon lives.
///
/// # Errors
/// The listening socket can't be polled.
pub async fn serve(listener: UnixListener, service: Arc<Service>, waiting: TaskTracker) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    if !scm_rights::refuse(&listener) {
        tracing::debug!("this kernel can't keep descriptors out of requests (Linux 6.16 and later can)");
    }
    let listener = watched(listener)?;
    let permits = Arc::new(Semaphore::new(SLOW_CONNECTIONS));
    let mut scratch = Box::new([0; MAX_REQUEST + 1]);
    let mut young = Vec::with_capacity(BATCH);
    let mut complaints = LogLimiter::default();
    loop {
        let mut ready = listener.readable().await?;
        let registry = service.registry();
        let mut drained = false;
        for _ in 0..BATCH {
            match listener.get_ref().accept() {
                Ok((stream, _)) => young.extend(admit(&service, &registry, stream, &mut scratch[..])),
                Err(error) => match after(&error) {
                    Next::Another => {}
                    Next::Wait => {
                        drained = true;
                        break;
                    }
                    Next::Rest => {
                        complain(&mut complaints, &error);
                        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                        break;
                    }
                },
            }
        }
        await_first_bytes(&young);
        for pending in young.drain(..) {
            if let Some(pending) = proceed(&service, &registry, pending, &mut scratch[..]) {
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

/// A shortage that lasts must not fill the log with itself.
fn complain(complaints: &mut LogLimiter, error: &io::Error) {
    if complaints.due(clock::now().boot, MINUTE).is_some() {
        tracing::warn!(%error, "no connection can be taken, trying again until one can; if this lasts, raise the limit of open files");
    }
}

/// Most clients send right after they connect, often while they are being
/// admitted: waiting a moment for that costs less than a task for each. Waits
/// for the first of those that have sent nothing.
fn await_first_bytes(young: &[Pending]) {
    let silent = young.iter().filter(|pending| pending.bytes.is_empty());
    let mut watched: Vec<PollFd<'_>> = silent.map(|p| PollFd::new(p.stream.as_fd(), PollFlags::POLLIN)).collect();
    if !watched.is_empty() {
        // However it ends, they are looked at again.
        let _ = ppoll(&mut watched, Some(MOMENT), None);
    }
}

enum Next {
    Another,
    Wait,
    Rest,
}

/// Classifies an error of accept(2): an aborted connection is ignored, and a lack of
/// descriptors or memory is temporary.
fn after(error: &io::Error) -> Next {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => Next::Wait,
        Some(Errno::ECONNABORTED | Errno::EINTR | Errno::EPROTO | Errno::EPERM) => Next::Another,
        _ => Next::Rest,
    }
}

/// Decides on the peer, before a byte of it is read.
fn admit(
    service: &Service,
    registry: &Arc<CredentialRegistry>,
    stream: UnixStream,
    scratch: &mut [u8],
) -> Option<Pending> {
    let since = clock::now().boot;
    let known = getsockopt(&stream, PeerCredentials).ok()?;
    let peer = Peer { uid: Uid::from_raw(known.uid()), pid: known.pid() };
    match registry.admission.judge(peer.uid) {
        PeerVerdict::Denied => {
            let reply = Reply::denied();
            let _ = send_all(&stream, &reply.bytes);
            service.refusals.note(peer, &registry.admission, since);
            service.metrics.request(None, reply.served, Duration::ZERO);
            None
        }
        PeerVerdict::Admitted if service.rates.is_unusual(peer.uid, since) => {
            service.metrics.unusual_rate(peer.uid.as_raw());
            tracing::warn!(
                uid = peer.uid.as_raw(),
                pid = peer.pid,
                "this user asks unusually often: over {} times in a minute; something may be asking again and again",
                super::rates::USUAL
            );
            proceed(service, registry, Pending { stream, peer, since, bytes: Vec::new() }, scratch)
        }
        PeerVerdict::Admitted => {
            proceed(service, registry, Pending { stream, peer, since, bytes: Vec::new() }, scratch)
        }
    }
}

/// Answers a request that has come whole and needs no waiting. Gives back a
/// connection that must be waited for.
fn proceed(
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
    match request::end(whole, read == 0).map(|end| end.map(|end| Request::parse(&whole[..end]))) {
        Err(fault) | Ok(Some(Err(fault))) => {
            finish(service, &pending, None, &Reply::malformed(fault.reason()));
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
                finish(service, &pending, Some(request.client), &reply);
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

fn finish(service: &Service, pending: &Pending, client: Option<Client>, reply: &Reply) {
    // A client that went away, or won't read, has lost its answer and no more.
    let served = if send_all(&pending.stream, &reply.bytes) { reply.served } else { Served::Lost };
    service.audit.close_line();
    service.metrics.request(client, served, clock::now().boot.saturating_sub(pending.since));
}

/// An answer always fits into an empty socket buffer.
fn send_all(stream: &UnixStream, bytes: &[u8]) -> bool {
    send(stream.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) == Ok(bytes.len())
}
