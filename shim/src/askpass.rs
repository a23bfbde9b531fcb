//! `molecule-askpass`: answers git's and git-lfs's prompts, and no others.
//!
//! Every refusal is status 1. With status 0 and no output, git would log in with an
//! empty password, and ssh would take the empty output for a yes.

use crate::buffers;
use crate::messages::{print_failure, print_refusal};
use crate::protocol::answer::{Answer, AnswerWord};
use crate::protocol::askpass::request_for_prompt;
use crate::protocol::origin::Scheme;
use crate::protocol::prompt::Prompt;
use crate::round_trip::ask_broker;
use crate::socket_path::SocketPath;
use crate::sys::{self, ProcessStart};

#[inline(never)]
pub(crate) fn run(start: &ProcessStart<'_>) -> u8 {
    let mut arguments = start.arguments();
    let (Some(prompt), None) = (arguments.next(), arguments.next()) else { return 1 };
    // If it is set, the caller wants a confirmation or shows a message, whatever
    // the prompt says: ssh(1), SSH_ASKPASS_PROMPT.
    if start.variable(b"SSH_ASKPASS_PROMPT").is_some() {
        return 1;
    }
    let Some(prompt) = Prompt::parse(prompt) else { return 1 };
    let (Some(frame), Some(buffer)) = (buffers::REQUEST.take(), buffers::ANSWER.take()) else { return 1 };
    let Ok(request) = request_for_prompt(&prompt, start.command(), frame) else { return 1 };
    let mut socket_path = SocketPath::from_environment(start);
    match ask_broker(start, &mut socket_path, request, buffer) {
        Ok(answer) => return print_answer(&answer),
        Err(failure) if prompt.scheme == Scheme::Https => print_failure(start, failure, &socket_path),
        Err(_) => {}
    }
    1
}

fn print_answer(answer: &Answer<'_>) -> u8 {
    print_refusal(answer);
    let Some(value) = answer.value("answer").filter(|value| answer.word == AnswerWord::Ok && !value.is_empty()) else {
        return 1;
    };
    let printed = sys::write_output(value).and_then(|()| sys::write_output(b"\n"));
    u8::from(printed.is_err())
}
