//! The request that askpass sends to the broker.

use crate::buffer::Buffer;
use crate::limits::{MAX_REQUEST, MAX_USERNAME};
use crate::line::{self, FormatError};
use crate::prompt::Prompt;
use crate::request::{ClientKind, Request, Verb};

/// Writes the request for one prompt.
///
/// # Errors
/// [`FormatError::TooLong`], and [`FormatError::Control`] for a name that can't be in a
/// line.
pub fn request_for_prompt<'b>(
    prompt: &Prompt<'_>,
    command: Option<&[u8]>,
    buffer: &'b mut [u8; MAX_REQUEST],
) -> Result<&'b [u8], FormatError> {
    let mut username = Buffer::<MAX_USERNAME>::new();
    for byte in prompt.username().into_iter().flatten() {
        username.push(byte)?;
    }
    let mut request = Request::new(Verb::Get);
    request.client = ClientKind::Askpass;
    request.command = command;
    request.protocol = Some(prompt.scheme.name().as_bytes());
    request.host = Some(prompt.host);
    request.path = prompt.path;
    request.username = username.whole();
    request.field = Some(prompt.field);
    let mut writer = line::MessageWriter::new(buffer);
    request.write(&mut writer)?;
    let used = writer.written().len();
    Ok(&buffer[..used])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_becomes_a_request() {
        let prompt = Prompt::parse(b"Password for 'https://bot%40x@h/p': ").unwrap();
        let mut buffer = [0; MAX_REQUEST];
        let sent = request_for_prompt(&prompt, Some(b"ask"), &mut buffer).unwrap();
        assert_eq!(
            sent,
            b"molecule/1 get\nclient=askpass\ncommand=ask\nprotocol=https\nhost=h\npath=p\nusername=bot@x\nfield=password\n\n"
        );
    }

    #[test]
    fn a_prompt_for_a_user_name_sends_no_user_name() {
        let prompt = Prompt::parse(b"Username for 'https://h': ").unwrap();
        let mut buffer = [0; MAX_REQUEST];
        let sent = request_for_prompt(&prompt, Some(b"ask"), &mut buffer).unwrap();
        assert_eq!(sent, b"molecule/1 get\nclient=askpass\ncommand=ask\nprotocol=https\nhost=h\nfield=username\n\n");
    }
}
