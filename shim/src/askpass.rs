//! `molecule-askpass`: answers git's and git-lfs's prompts, and no others.
//!
//! Every refusal is status 1: with status 0 and no output, git would log in with
//! an empty password, and ssh would take it for a yes.

use crate::buffers;
use crate::messages::{complain, pass_on_refusal};
use crate::protocol::answer::{Answer, Word};
use crate::protocol::askpass::request_for_prompt;
use crate::protocol::origin::Scheme;
use crate::protocol::prompt::Prompt;
use crate::round_trip::ask;
use crate::socket_path::SocketPath;
use crate::sys::{self, Start};

#[inline(never)]
pub(crate) fn run(start: &Start<'_>) -> u8 {
    let mut arguments = start.arguments();
    let (Some(prompt), None) = (arguments.next(), arguments.next()) else { return 1 };
    // Set, it asks for a yes or shows a message, whatever the prompt says:
    // ssh(1), SSH_ASKPASS_PROMPT.
    if start.variable(b"SSH_ASKPASS_PROMPT").is_some() {
        return 1;
    }
    let Some(prompt) = Prompt::parse(prompt) else { return 1 };
    let (Some(frame), Some(buffer)) = (buffers::REQUEST.take(), buffers::ANSWER.take()) else { return 1 };
    let Ok(request) = request_for_prompt(&prompt, start.command(), frame) else { return 1 };
    let mut place = SocketPath::of(start);
    match ask(start, &mut place, request, buffer) {
        Ok(answer) => return give(&answer),
        Err(failure) if prompt.scheme == Scheme::Https => complain(start, failure, &place),
        Err(_) => {}
    }
    1
}

fn give(answer: &Answer<'_>) -> u8 {
    pass_on_refusal(answer);
    let Some(value) = answer.value("answer").filter(|value| answer.word == Word::Ok && !value.is_empty()) else {
        return 1;
    };
    let printed = sys::write_output(value).and_then(|()| sys::write_output(b"\n"));
    u8::from(printed.is_err())
}
