//! `gh auth git-credential get`: git names the host on standard input, and the
//! token that gh finds in its environment goes to whatever host that is. So the
//! host is read here first, and gh reads it again from a pipe.

use crate::buffers;
use crate::protocol::git::Scanner;
use crate::protocol::line::{Fault, Writer};
use crate::protocol::request::{Client, Request, Verb};
use crate::sys::{self, Errno, Start};

/// Reads git's request, and leaves it on standard input for gh. Without a
/// request if it is malformed: gh then reads nothing, and says nothing.
///
/// # Errors
/// There is no pipe to be had.
pub(super) fn read(start: &Start<'_>) -> Result<Option<Request<'static>>, Errno> {
    let request = buffers::SCANNER.take().and_then(|scanner| scan(start, scanner).ok());
    let (output, feed) = sys::pipe()?;
    if let Some(request) = &request {
        let mut text = [0; 4096];
        let mut writer = Writer::new(&mut text);
        // Shorter than the smallest pipe (pipe(7)), so this never waits.
        if write(&mut writer, request).is_ok() {
            sys::write(&feed, writer.written())?;
        }
    }
    sys::become_standard(&output, 0)?;
    Ok(request)
}

fn scan(start: &Start<'_>, scanner: &'static mut Scanner) -> Result<Request<'static>, Fault> {
    scanner.open(Verb::Get, start.command())?;
    let mut chunk = [0; 1024];
    loop {
        match sys::read_input(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) if scanner.push(&chunk[..count])? => break,
            Ok(_) => {}
        }
    }
    let frame = scanner.finish()?.ok_or(Fault::Head)?;
    Ok(Request { client: Client::Gh, ..Request::parse(frame)? })
}

/// Writes the attributes that gh reads (gh's `pkg/cmd/auth/gitcredential`). `url` comes first:
/// gh believes the last that it reads, and the broker was asked about the host.
fn write(writer: &mut Writer<'_>, request: &Request<'_>) -> Result<(), Fault> {
    let Request { url, protocol, host, path, username, .. } = request;
    let lines = [("url", url), ("protocol", protocol), ("host", host), ("path", path), ("username", username)];
    for (key, value) in lines {
        value.map_or(Ok(()), |value| writer.pair(key, value))?;
    }
    writer.end()
}
