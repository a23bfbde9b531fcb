//! The fallback without a daemon: runs `molecule-broker answer` for this one
//! request. It reads the request and writes the answer as the daemon would, from
//! environment and configuration alone.

use core::time::Duration;

use crate::deadline::{Deadline, Failure, read_answer};
use crate::protocol::answer::Answer;
use crate::sys::{self, Arg, Fd, Start};
use crate::text::{Text, folder};

pub(crate) const BROKER: &[u8] = b"molecule-broker";

/// A path in any file system (limits.h, `PATH_MAX`).
pub(crate) type Path = Text<4096>;

/// # Errors
/// [`Failure::NotRunning`] if it can't be run or gives no answer, and
/// [`Failure::TimedOut`].
#[inline(never)]
pub(crate) fn answer(
    start: &Start<'_>,
    request: &[u8],
    deadline: Deadline,
    buffer: &mut [u8],
) -> Result<usize, Failure> {
    /// Time limit for a child that has answered to end.
    const FAREWELL: Duration = Duration::from_millis(200);
    let (child, output) = spawn(start, request).ok_or(Failure::NotRunning)?;
    let result = read_answer(&output, deadline, buffer);
    let _ = sys::readable(&output, deadline.left().min(FAREWELL));
    sys::end_child(child);
    match result {
        Ok(length) if Answer::parse(&buffer[..length]).is_some() => Ok(length),
        Ok(_) => Err(Failure::NotRunning),
        Err(failure) => Err(failure),
    }
}

fn spawn(start: &Start<'_>, request: &[u8]) -> Option<(i32, Fd)> {
    let (input, feed) = sys::pipe().ok()?;
    let (output, result) = sys::pipe().ok()?;
    // Before there is a child: both ends are ours, so no SIGPIPE can come of
    // it, and a request is smaller than a pipe.
    sys::never_block(&feed).ok()?;
    sys::write(&feed, request).ok()?;
    drop(feed);
    let Some(child) = sys::fork().ok()? else {
        become_broker(start, &input, &result);
        sys::exit(127);
    };
    Some((child, output))
}

/// In the child. Comes back only if it can't be run.
fn become_broker(start: &Start<'_>, input: &Fd, result: &Fd) {
    if sys::become_standard(input, 0).is_err() || sys::become_standard(result, 1).is_err() {
        return;
    }
    // On success a shim's stderr stays empty: what there is to say stands in
    // the answer.
    if let Some(null) = Arg::new(b"/dev/null\0").and_then(|path| sys::open(path).ok()) {
        let _ = sys::become_standard(&null, 2);
    }
    let arguments = [Arg::new(b"molecule-broker\0"), Arg::new(b"answer\0"), None];
    exec_broker(start, &arguments);
}

/// Beside the shim's own file, beside the name that it was started by, else on
/// `PATH`. Comes back only if it can't be run.
#[inline(never)]
pub(crate) fn exec_broker(start: &Start<'_>, arguments: &[Option<Arg<'_>>]) {
    let mut link = [0; 4096];
    let own = Arg::new(b"/proc/self/exe\0").and_then(|path| sys::read_link(path, &mut link).ok());
    let named = start.path.map(Arg::bytes).filter(|path| path.contains(&b'/'));
    let beside = own.into_iter().chain(named).map(folder);
    for place in beside.chain(search_path(start)) {
        let mut path = Path::of(&[place, b"/", BROKER]);
        if let Some(path) = path.arg() {
            sys::exec(path, arguments, start.envp);
        }
    }
}

/// The folders of `PATH`. Relative ones are skipped: a repository must not be
/// able to bring its own broker or gh.
pub(crate) fn search_path<'a>(start: &Start<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let path = start.variable(b"PATH").unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    path.split(|&b| b == b':').filter(|folder| folder.starts_with(b"/"))
}
