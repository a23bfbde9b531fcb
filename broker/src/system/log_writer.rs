//! stderr, which is the log, without waiting for whoever reads it: a terminal
//! that was stopped, or a pipe whose reader stands still, must not stop the
//! service. What doesn't go out in a moment is lost, and counted.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// How long the first line waits that doesn't go out. Those after it don't wait
/// until one has gone out again.
const PATIENCE: Duration = Duration::from_millis(100);

/// So much can be written at once wherever anything can (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

static STUCK: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Writes a line.
///
/// # Errors
/// It is lost: `WouldBlock`, or as write(2).
pub(crate) fn line(bytes: &[u8]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    for piece in bytes.chunks(PIECE) {
        if !takes_more(&stderr) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "nobody reads the log"));
        }
        stderr.write_all(piece)?;
    }
    Ok(())
}

fn takes_more(stderr: impl AsFd) -> bool {
    let patience = if STUCK.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
    let mut one = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // What can't be polled is left to write(2).
    let takes = ppoll(&mut one, Some(TimeSpec::from_duration(patience)), None) != Ok(0);
    STUCK.store(!takes, Ordering::Relaxed);
    takes
}

/// For [`tracing_subscriber`]: one write is one line.
pub(crate) struct NonBlockingStderr;

impl Write for NonBlockingStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match line(bytes) {
            Ok(()) => {
                if let lost @ 1.. = LOST.swap(0, Ordering::Relaxed) {
                    tracing::warn!(lost, "the log takes lines again: whoever reads it had stopped");
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
