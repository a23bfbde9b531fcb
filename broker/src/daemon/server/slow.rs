//! A connection that must be waited for: because its request isn't whole yet,
//! or because its answer isn't there yet.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use molecule_protocol::limits::{MAX_REQUEST, READ_DEADLINE};
use molecule_protocol::line::Fault;
use molecule_protocol::request::{self, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::reply::Reply;
use super::service::{FirstAnswer, Service};
use crate::daemon::answer::Bytes;
use crate::daemon::metrics::Served;
use crate::system::clock;
use crate::system::peer::Peer;
use crate::system::time::Boot;

/// A connection, and what came over it so far.
pub(super) struct Pending {
    pub stream: UnixStream,
    pub peer: Peer,
    pub since: Boot,
    pub bytes: Vec<u8>,
}

/// Reads the rest within the deadline, waits for the answer, sends it.
pub(super) async fn serve(service: Arc<Service>, pending: Pending, _permit: OwnedSemaphorePermit) {
    let Pending { stream, peer, since: began, bytes } = pending;
    let Ok(mut stream) = stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream)) else {
        return;
    };
    // A client that sends nothing, or a request without an end, gets no answer. Neither
    // does one whose read failed: if it is still there, it notices and asks again.
    let served = match timeout(READ_DEADLINE, read(&mut stream, bytes)).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(_)) => Err(Served::Lost),
        Err(_) => Err(Served::Late),
    };
    let read = match served {
        Ok(read) => read,
        Err(served) => {
            service.metrics.request(None, served, clock::now().boot.saturating_sub(began));
            return;
        }
    };
    let request = read.as_deref().map_err(|fault| *fault).and_then(Request::parse);
    // As things are now: there may have been a reload while it was read.
    let registry = service.registry();
    let (client, reply) = match &request {
        Err(fault) => (None, Reply::malformed(fault.reason())),
        Ok(request) => {
            let reply = match service.answer_now(&registry, peer, request) {
                FirstAnswer::Done(reply) => reply,
                FirstAnswer::Later => service.wait(&registry, peer, request).await,
            };
            (Some(request.client), reply)
        }
    };
    // Others get their turn while this one is sent.
    service.audit.close_line();
    let served = if send(&mut stream, &reply.bytes).await { reply.served } else { Served::Lost };
    service.metrics.request(client, served, clock::now().boot.saturating_sub(began));
}

async fn read(stream: &mut tokio::net::UnixStream, mut bytes: Vec<u8>) -> io::Result<Result<Vec<u8>, Fault>> {
    let mut at_end = false;
    loop {
        match request::end(&bytes, at_end) {
            Err(fault) => return Ok(Err(fault)),
            Ok(Some(end)) => {
                bytes.truncate(end);
                return Ok(Ok(bytes));
            }
            Ok(None) => {
                let mut piece = [0; 1024];
                let got = stream.read(&mut piece).await?;
                at_end = got == 0;
                bytes.extend_from_slice(&piece[..got]);
                debug_assert!(bytes.len() <= MAX_REQUEST + piece.len());
            }
        }
    }
}

async fn send(stream: &mut tokio::net::UnixStream, bytes: &Bytes) -> bool {
    matches!(timeout(READ_DEADLINE, stream.write_all(bytes)).await, Ok(Ok(())))
}
