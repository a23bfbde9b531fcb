//! git's credential helper, with the actions of the script that it replaces. It runs
//! under the name `git-credential-molecule` and under every unknown name.
//!
//! Git ignores a helper's exit status and uses its output. So the helper answers a
//! request that it doesn't understand with no output and status 0. Only the script's
//! actions, which other scripts call, have meaningful statuses.

use crate::buffers;
use crate::deadline::ClientError;
use crate::fallback;
use crate::messages::{is_refusal, print_failure, print_line, print_refusal};
use crate::protocol::answer::{Answer, AnswerWord};
use crate::protocol::git::{CAPABILITIES, Scanner};
use crate::protocol::line::MessageWriter;
use crate::protocol::request::{ClientKind, Request, Verb};
use crate::round_trip::{ask_broker, send_without_waiting};
use crate::socket_path::SocketPath;
use crate::sys::{self, Arg, ProcessStart};

/// Action that git or a script asks of the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Erase,
    Capability,
    /// Prints the raw token.
    FetchToken,
    /// Refreshes now and logs gh in.
    RefreshGh,
    /// Asks for a fresh token. In the old script this dropped its cache.
    InvalidateCache,
    /// `store`, and unknown actions.
    Nothing,
}

impl Action {
    /// Reads the action. Without any argument it is `by_default`.
    fn from_arguments<'a>(mut arguments: impl Iterator<Item = &'a [u8]>, by_default: Self) -> Self {
        match (arguments.next(), arguments.next()) {
            (None, _) => by_default,
            (Some(b"get"), None) => Self::Get,
            (Some(b"erase"), None) => Self::Erase,
            (Some(b"capability"), None) => Self::Capability,
            (Some(b"_fetch_token"), None) => Self::FetchToken,
            (Some(b"_refresh_gh"), None) => Self::RefreshGh,
            (Some(b"_invalidate_cache"), None) => Self::InvalidateCache,
            _ => Self::Nothing,
        }
    }
}

/// Runs under the helper's own name: without an action, nothing happens.
pub(crate) fn run(start: &ProcessStart<'_>) -> u8 {
    run_action(start, Action::from_arguments(start.arguments(), Action::Nothing))
}

/// Runs under the old script's name or any other: without an action, it is `get`.
pub(crate) fn run_as_script(start: &ProcessStart<'_>) -> u8 {
    run_action(start, Action::from_arguments(start.arguments(), Action::Get))
}

fn run_action(start: &ProcessStart<'_>, action: Action) -> u8 {
    match action {
        Action::Get => answer_git(start, Verb::Get),
        Action::Erase => answer_git(start, Verb::Erase),
        Action::Capability => {
            let _ = sys::write_output(CAPABILITIES.as_bytes());
        }
        Action::FetchToken => return fetch_token(start),
        Action::RefreshGh => return refresh_gh(start),
        Action::InvalidateCache => invalidate_cache(start),
        Action::Nothing => {}
    }
    0
}

fn answer_git(start: &ProcessStart<'_>, verb: Verb) {
    let (Some(scanner), Some(buffer)) = (buffers::SCANNER.take(), buffers::ANSWER.take()) else { return };
    if scanner.begin(verb, start.command()).is_err() || read_git_input(scanner, buffer).is_none() {
        return;
    }
    let Ok(Some(request)) = scanner.finish() else { return };
    let mut socket_path = SocketPath::from_environment(start);
    let outcome = ask_broker(start, &mut socket_path, request, buffer);
    // `erase` only informs the daemon. Git needs no outcome.
    if verb != Verb::Get {
        return;
    }
    if let Some(output) = git_output(&outcome, request) {
        let _ = sys::write_output(output);
    }
    match outcome {
        Ok(answer) => print_refusal(&answer),
        Err(failure) if is_https(request) => print_failure(start, failure, &socket_path),
        Err(_) => {}
    }
}

/// Reads up to git's empty line, or to the end of its input.
fn read_git_input(scanner: &mut Scanner, chunk: &mut [u8]) -> Option<()> {
    loop {
        match sys::read_input(chunk).ok()? {
            0 => return Some(()),
            count if scanner.push(&chunk[..count]).ok()? => return Some(()),
            _ => {}
        }
    }
}

/// Returns the output for git. `quit=1` ends git's search at once if another helper,
/// askpass or the terminal could only fail later.
fn git_output<'a>(outcome: &Result<Answer<'a>, ClientError>, request: &[u8]) -> Option<&'a [u8]> {
    const QUIT: &[u8] = b"quit=1\n";
    match outcome {
        Ok(answer) => match answer.word {
            AnswerWord::Ok => Some(answer.body),
            AnswerWord::Refused => Some(QUIT),
            AnswerWord::Denied => is_https(request).then_some(QUIT),
            AnswerWord::Silent | AnswerWord::Malformed => None,
        },
        Err(_) => is_https(request).then_some(QUIT),
    }
}

/// Returns true for a request that a broker could have answered. If there is no
/// broker, the helper prints nothing for all other requests.
#[inline(never)]
fn is_https(request: &[u8]) -> bool {
    Request::parse(request).is_ok_and(|request| {
        request.protocol.is_some_and(|name| name.eq_ignore_ascii_case(b"https"))
            && request.host.is_some_and(|host| !host.is_empty())
    })
}

#[inline(never)]
fn fetch_token(start: &ProcessStart<'_>) -> u8 {
    let mut request = Request::new(Verb::Get);
    request.client = ClientKind::Script;
    request.command = start.command();
    request.name = Some("github");
    let Some(buffer) = buffers::ANSWER.take() else { return 1 };
    let (mut socket_path, mut frame) = (SocketPath::from_environment(start), [0; 128]);
    let mut writer = MessageWriter::new(&mut frame);
    if request.write(&mut writer).is_err() {
        return 1;
    }
    match ask_broker(start, &mut socket_path, writer.written(), buffer) {
        Err(failure) => print_failure(start, failure, &socket_path),
        Ok(answer) if is_refusal(&answer) => print_refusal(&answer),
        Ok(answer) => match answer.value("password").filter(|_| answer.word == AnswerWord::Ok) {
            None => print_line(&[b"there is no credential named github; see `molecule-broker status`"]),
            Some(token) => {
                let printed = sys::write_output(token).and_then(|()| sys::write_output(b"\n"));
                return u8::from(printed.is_err());
            }
        },
    }
    1
}

#[inline(never)]
fn refresh_gh(start: &ProcessStart<'_>) -> u8 {
    let words: [&[u8]; 4] = [b"molecule-broker\0", b"refresh\0", b"--login\0", b"github\0"];
    let mut arguments = [None; 5];
    for (argument, word) in arguments.iter_mut().zip(words) {
        *argument = Arg::new(word);
    }
    fallback::exec_broker(start, &arguments);
    print_line(&[
        b"can't run ",
        fallback::BROKER_PROGRAM,
        b": it is neither beside this program nor on PATH; install it there",
    ]);
    1
}

#[inline(never)]
fn invalidate_cache(start: &ProcessStart<'_>) {
    send_without_waiting(
        start,
        &mut SocketPath::from_environment(start),
        b"molecule/1 refresh\nclient=script\nname=github\n\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"molecule/1 get\nclient=helper\nprotocol=https\nhost=github.com\n\n";
    const PLAIN: &[u8] = b"molecule/1 get\nclient=helper\nprotocol=http\nhost=github.com\n\n";
    const QUIT: Option<&[u8]> = Some(b"quit=1\n");

    fn action(words: &[&'static str]) -> Action {
        Action::from_arguments(words.iter().map(|w| w.as_bytes()), Action::Nothing)
    }

    fn output_for(answer: &'static [u8], request: &[u8]) -> Option<&'static [u8]> {
        git_output(&Ok(Answer::parse(answer).unwrap()), request)
    }

    #[test]
    fn rule46_only_one_known_action_does_anything() {
        assert_eq!(action(&["get"]), Action::Get);
        for words in [&[][..], &["store"], &["get", "get"], &["get", ""], &["GET"], &[""], &["--help"]] {
            assert_eq!(action(words), Action::Nothing, "{words:?}");
        }
    }

    #[test]
    fn the_daemons_answer_reaches_git_unchanged() {
        assert_eq!(
            output_for(b"molecule/1 ok\nusername=a\npassword=b\n\n", GET),
            Some(&b"username=a\npassword=b\n"[..])
        );
        assert_eq!(output_for(b"molecule/1 silent\n\n", GET), None);
        assert_eq!(output_for(b"molecule/1 malformed\nreason=x\n\n", GET), None);
    }

    #[test]
    fn a_refusal_ends_gits_search_also_for_plain_http() {
        assert_eq!(output_for(b"molecule/1 refused\nreason=x\n\n", GET), QUIT);
        assert_eq!(output_for(b"molecule/1 refused\nreason=x\n\n", PLAIN), QUIT);
    }

    #[test]
    fn without_an_answer_only_https_ends_gits_search() {
        for failure in
            [ClientError::NotRunning, ClientError::TimedOut, ClientError::UntrustedServer(7), ClientError::InvalidReply]
        {
            assert_eq!(git_output(&Err(failure), GET), QUIT);
            assert_eq!(git_output(&Err(failure), PLAIN), None);
        }
        assert_eq!(output_for(b"molecule/1 denied\nreason=x\n\n", GET), QUIT);
        assert_eq!(output_for(b"molecule/1 denied\nreason=x\n\n", PLAIN), None);
    }

    #[test]
    fn an_unanswerable_request_never_ends_gits_search() {
        for request in [
            &b"molecule/1 get\nclient=helper\nprotocol=https\n\n"[..],
            b"molecule/1 get\nclient=helper\nprotocol=https\nhost=\n\n",
            b"molecule/1 get\nclient=helper\nhost=github.com\n\n",
            b"molecule/1 get\nclient=helper\nprotocol=https\nhost=a\nhost=b\n\n",
        ] {
            assert_eq!(git_output(&Err(ClientError::NotRunning), request), None);
        }
    }
}
