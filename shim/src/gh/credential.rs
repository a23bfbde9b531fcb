//! `gh auth git-credential get`. git names the host on standard input, and gh gives
//! the token in its environment to that host, whichever it is. So the shim reads the
//! host first, and gh reads it again from a pipe.

use crate::buffers;
use crate::protocol::git::Scanner;
use crate::protocol::line::{FormatError, MessageWriter};
use crate::protocol::request::{ClientKind, Request, Verb};
use crate::sys::{self, Errno, ProcessStart};

/// Reads git's request and puts it on standard input again for gh. Returns `None` if
/// the request is malformed; gh then reads an empty input and prints nothing.
///
/// # Errors
/// The pipe for gh can't be made, written or put on standard input.
pub(super) fn read_request(start: &ProcessStart<'_>) -> Result<Option<Request<'static>>, Errno> {
    let request = buffers::SCANNER.take().and_then(|scanner| scan(start, scanner).ok());
    let (output, feed) = sys::pipe()?;
    if let Some(request) = &request {
        let mut text = [0; 4096];
        let mut writer = MessageWriter::new(&mut text);
        // The text is shorter than the smallest pipe (pipe(7)), so the write never waits.
        if write_attributes(&mut writer, request).is_ok() {
            sys::write(&feed, writer.written())?;
        }
    }
    sys::replace_standard_stream(&output, 0)?;
    Ok(request)
}

fn scan(start: &ProcessStart<'_>, scanner: &'static mut Scanner) -> Result<Request<'static>, FormatError> {
    scanner.begin(Verb::Get, start.command())?;
    let mut chunk = [0; 1024];
    loop {
        match sys::read_input(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) if scanner.push(&chunk[..count])? => break,
            Ok(_) => {}
        }
    }
    let frame = scanner.finish()?.ok_or(FormatError::Head)?;
    Ok(Request { client: ClientKind::Gh, ..Request::parse(frame)? })
}

/// Writes the attributes that gh reads (gh's `pkg/cmd/auth/gitcredential`). `url` comes
/// first: gh uses the last value that it reads, and the broker was asked about the
/// host, not the URL.
fn write_attributes(writer: &mut MessageWriter<'_>, request: &Request<'_>) -> Result<(), FormatError> {
    let Request { url, protocol, host, path, username, .. } = request;
    let lines = [("url", url), ("protocol", protocol), ("host", host), ("path", path), ("username", username)];
    for (key, value) in lines {
        value.map_or(Ok(()), |value| writer.pair(key, value))?;
    }
    writer.end()
}
