//! The last steps of a request: send the reply, end its audit line, count it.
//!
//! The audit line may still lack the client's process name
//! ([`crate::daemon::audit::Audit::close_line`]). Its lookup is slow, and a client that exits
//! meanwhile waits for it, so [`at_once`] sends the reply before it ends the line.
//! [`after_waiting`] ends the line first: other tasks run while it sends, and the line must not
//! stay open for them.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use molecule_protocol::limits::READ_DEADLINE;
use molecule_protocol::request::ClientKind;
use nix::sys::socket::{MsgFlags, send};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::reply::Reply;
use super::service::Service;
use crate::daemon::metrics::Served;
use crate::system::clock;
use crate::system::time::Boot;

/// Finishes a request without waiting for the client.
pub(super) fn at_once(service: &Service, stream: &UnixStream, since: Boot, client: Option<ClientKind>, reply: &Reply) {
    let sent = send_all(stream, &reply.bytes);
    service.audit.close_line();
    count(service, since, client, reply, sent);
}

/// Finishes a request for which other tasks got their turn. Waits until the client reads.
pub(super) async fn after_waiting(
    service: &Service,
    stream: &mut tokio::net::UnixStream,
    since: Boot,
    client: Option<ClientKind>,
    reply: &Reply,
) {
    service.audit.close_line();
    let sent = matches!(timeout(READ_DEADLINE, stream.write_all(&reply.bytes)).await, Ok(Ok(())));
    count(service, since, client, reply, sent);
}

/// Sends without waiting. An answer always fits into an empty socket buffer.
pub(super) fn send_all(stream: &UnixStream, bytes: &[u8]) -> bool {
    send(stream.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) == Ok(bytes.len())
}

/// Counts the request. A client that went away, or doesn't read, loses only its own answer.
fn count(service: &Service, since: Boot, client: Option<ClientKind>, reply: &Reply, sent: bool) {
    let served = if sent { reply.served } else { Served::Lost };
    service.metrics.request(client, served, clock::now().boot.saturating_sub(since));
}
