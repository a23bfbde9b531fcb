//! askpass's request to the broker.

use crate::git::Buffer;
use crate::limits::{MAX_REQUEST, MAX_USERNAME};
use crate::line::{self, Fault};
use crate::prompt::Prompt;
use crate::request::{Client, Request, Verb};

/// Writes the request that askpass sends for one prompt.
///
/// # Errors
/// [`Fault::TooLong`], and a name that can't stand in a line.
pub fn request_for_prompt<'b>(
    prompt: &Prompt<'_>,
    command: Option<&[u8]>,
    buffer: &'b mut [u8; MAX_REQUEST],
) -> Result<&'b [u8], Fault> {
    let mut username = Buffer::<MAX_USERNAME>::new();
    for byte in prompt.username().into_iter().flatten() {
        username.push(byte)?;
    }
    let mut request = Request::new(Verb::Get);
    request.client = Client::Askpass;
    request.command = command;
    request.protocol = Some(prompt.scheme.name().as_bytes());
    request.host = Some(prompt.host);
    request.path = prompt.path;
    request.username = username.whole();
    request.field = Some(prompt.field);
    let mut writer = line::Writer::new(buffer);
    request.write(&mut writer)?;
    let used = writer.written().len();
    Ok(&buffer[..used])
}
