//! Writer for the log, which goes to stderr, that doesn't wait for the log's reader. A terminal
//! that was stopped, or a pipe whose reader has stopped reading, must not stop the service. Lines
//! that can't be written within [`TIMEOUT`] are lost, and counted.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// Time for which a line waits until stderr takes it. After one has waited in vain, further lines
/// don't wait, until one has been written again.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Number of bytes that can be written without blocking wherever poll reports that any can
/// (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

static STUCK: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Writes a line.
///
/// # Errors
/// Returns `WouldBlock` if stderr takes no more, or an error of write(2). Then the line, or the
/// rest of it, is lost.
pub(crate) fn line(bytes: &[u8]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    for piece in bytes.chunks(PIECE) {
        if !can_write(&stderr) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the log's reader has stopped reading"));
        }
        stderr.write_all(piece)?;
    }
    Ok(())
}

/// Waits until stderr can be written to, for a limited time.
fn can_write(stderr: impl AsFd) -> bool {
    let timeout = if STUCK.load(Ordering::Relaxed) { Duration::ZERO } else { TIMEOUT };
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // If polling fails, write(2) decides.
    let can_write = ppoll(&mut fds, Some(TimeSpec::from_duration(timeout)), None) != Ok(0);
    STUCK.store(!can_write, Ordering::Relaxed);
    can_write
}

/// Writer for [`tracing_subscriber`], which writes each line with one call.
pub(crate) struct NonBlockingStderr;

impl Write for NonBlockingStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match line(bytes) {
            Ok(()) => {
                if let lost @ 1.. = LOST.swap(0, Ordering::Relaxed) {
                    tracing::warn!(lost, "the log takes lines again: its reader had stopped reading");
                }
            }
            Err(_) => {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
