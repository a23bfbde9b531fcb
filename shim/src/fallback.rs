//! The fallback if no daemon serves: `molecule-broker answer`, run for this one
//! request. That program reads the request and writes the answer as the daemon
//! would, from the environment and the configuration alone.

use core::time::Duration;

use crate::deadline::{AnswerDeadline, ClientError, read_answer};
use crate::protocol::answer::Answer;
use crate::sys::{self, Arg, Fd, ProcessStart};
use crate::text::{BoundedText, parent_folder};

pub(crate) const BROKER_PROGRAM: &[u8] = b"molecule-broker";

/// A path in any file system (limits.h, `PATH_MAX`).
pub(crate) type PathText = BoundedText<4096>;

/// Runs the fallback and reads its answer into `buffer`.
///
/// # Errors
/// [`ClientError::NotRunning`] if the fallback can't be run or gives no answer, and
/// [`ClientError::TimedOut`].
#[inline(never)]
pub(crate) fn answer(
    start: &ProcessStart<'_>,
    request: &[u8],
    deadline: AnswerDeadline,
    buffer: &mut [u8],
) -> Result<usize, ClientError> {
    /// Time that a child has to end after it answered.
    const FAREWELL: Duration = Duration::from_millis(200);
    let (child, output) = spawn(start, request).ok_or(ClientError::NotRunning)?;
    let result = read_answer(&output, deadline, buffer);
    let _ = sys::wait_readable(&output, deadline.remaining().min(FAREWELL));
    sys::kill_and_reap(child);
    match result {
        Ok(length) if Answer::parse(&buffer[..length]).is_some() => Ok(length),
        Ok(_) => Err(ClientError::NotRunning),
        Err(failure) => Err(failure),
    }
}

fn spawn(start: &ProcessStart<'_>, request: &[u8]) -> Option<(i32, Fd)> {
    let (input, feed) = sys::pipe().ok()?;
    let (output, result) = sys::pipe().ok()?;
    // The request is written before the fork. This process holds both ends of the
    // pipe, so the write can't raise SIGPIPE, and a request is smaller than a pipe.
    sys::set_nonblocking(&feed).ok()?;
    sys::write(&feed, request).ok()?;
    drop(feed);
    let Some(child) = sys::fork().ok()? else {
        exec_answer(start, &input, &result);
        sys::exit(127);
    };
    Some((child, output))
}

/// Runs in the child, and returns only if the broker can't be run.
fn exec_answer(start: &ProcessStart<'_>, input: &Fd, result: &Fd) {
    if sys::replace_standard_stream(input, 0).is_err() || sys::replace_standard_stream(result, 1).is_err() {
        return;
    }
    // A successful shim leaves stderr empty. The answer carries whatever the
    // fallback has to report.
    if let Some(null) = Arg::new(b"/dev/null\0").and_then(|path| sys::open_to_read_and_write(path).ok()) {
        let _ = sys::replace_standard_stream(&null, 2);
    }
    let arguments = [Arg::new(b"molecule-broker\0"), Arg::new(b"answer\0"), None];
    exec_broker(start, &arguments);
}

/// Executes the broker. It is searched beside the shim's own file, then beside the
/// path by which the shim was started, then on `PATH`. Returns only if it can't be
/// run.
#[inline(never)]
pub(crate) fn exec_broker(start: &ProcessStart<'_>, arguments: &[Option<Arg<'_>>]) {
    let mut link = [0; 4096];
    let own = Arg::new(b"/proc/self/exe\0").and_then(|path| sys::read_link(path, &mut link).ok());
    let named = start.path.map(Arg::bytes).filter(|path| path.contains(&b'/'));
    let beside = own.into_iter().chain(named).map(parent_folder);
    for folder in beside.chain(search_path(start)) {
        let mut path = PathText::concat(&[folder, b"/", BROKER_PROGRAM]);
        if let Some(path) = path.arg() {
            sys::exec(path, arguments, start.envp);
        }
    }
}

/// Returns the folders of `PATH` without the relative ones: a repository must not be
/// able to bring its own broker or gh.
pub(crate) fn search_path<'a>(start: &ProcessStart<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let path = start.variable(b"PATH").unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    path.split(|&b| b == b':').filter(|folder| folder.starts_with(b"/"))
}
