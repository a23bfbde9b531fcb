//! Descriptors that the runtime watches until they can be read.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Makes the runtime watch the descriptor of `owner`.
///
/// # Errors
/// Returns an error if the descriptor can't be polled.
#[expect(
    deprecated,
    reason = "its replacement is unsafe, because a type could exchange its descriptor; the types here own theirs"
)]
pub fn watched<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, Interest::READABLE)
}
