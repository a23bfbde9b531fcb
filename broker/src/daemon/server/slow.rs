//! Serves a connection that must wait, because its request isn't complete yet or its answer isn't
//! ready yet.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use molecule_protocol::limits::{MAX_REQUEST, READ_DEADLINE};
use molecule_protocol::line::FormatError;
use molecule_protocol::request::{self, Request};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::finish;
use super::reply::Reply;
use super::service::{FirstAnswer, Service};
use crate::daemon::metrics::Served;
use crate::system::clock;
use crate::system::peer::Peer;
use crate::system::time::Boot;

/// A connection and the bytes that it has sent so far.
pub(super) struct Pending {
    pub stream: UnixStream,
    pub peer: Peer,
    pub since: Boot,
    pub bytes: Vec<u8>,
}

/// Reads the rest of the request within the deadline, waits for the answer and sends it.
pub(super) async fn serve(service: Arc<Service>, pending: Pending, _permit: OwnedSemaphorePermit) {
    let Pending { stream, peer, since, bytes } = pending;
    let Ok(mut stream) = stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream)) else {
        return;
    };
    // A client that sends nothing, or a request without an end, gets no answer. Neither does a
    // client whose read failed: if it still runs, it notices and asks again.
    let served = match timeout(READ_DEADLINE, read(&mut stream, bytes)).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(_)) => Err(Served::Lost),
        Err(_) => Err(Served::Late),
    };
    let read = match served {
        Ok(read) => read,
        Err(served) => {
            service.metrics.request(None, served, clock::now().boot.saturating_sub(since));
            return;
        }
    };
    let request = read.as_deref().map_err(|fault| *fault).and_then(Request::parse);
    // The current registry: a reload may have replaced it while the request was read.
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
    finish::after_waiting(&service, &mut stream, since, client, &reply).await;
}

/// Reads a whole request, or returns the error of its format.
async fn read(stream: &mut tokio::net::UnixStream, mut bytes: Vec<u8>) -> io::Result<Result<Vec<u8>, FormatError>> {
    let mut at_end = false;
    loop {
        match request::find_end(&bytes, at_end) {
            Err(fault) => return Ok(Err(fault)),
            Ok(Some(end)) => {
                bytes.truncate(end);
                return Ok(Ok(bytes));
            }
            Ok(None) => {
                let mut piece = [0; 1024];
                let count = stream.read(&mut piece).await?;
                at_end = count == 0;
                bytes.extend_from_slice(&piece[..count]);
                debug_assert!(bytes.len() <= MAX_REQUEST + piece.len());
            }
        }
    }
}
