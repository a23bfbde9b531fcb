//! Descriptors that the runtime watches for something to read.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches what owns its descriptor.
///
/// # Errors
/// The descriptor can't be polled.
#[expect(
    deprecated,
    reason = "its replacement is unsafe, for callers whose type may swap its descriptor; ours own theirs"
)]
pub fn watched<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, Interest::READABLE)
}
