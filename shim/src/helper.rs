//! `git-credential-molecule`, and whatever name is unknown: git's credential
//! helper, with the actions of the script that it replaces.
//!
//! Git ignores a helper's status and believes what it printed, so the answer to
//! everything that isn't understood is silence and status 0. Only the old
//! actions, which scripts call, have statuses that mean something.

use crate::buffers;
use crate::deadline::Failure;
use crate::fallback;
use crate::messages::{complain, is_refusal, pass_on_refusal, say};
use crate::protocol::answer::{Answer, Word};
use crate::protocol::git::{CAPABILITIES, Scanner};
use crate::protocol::line::Writer;
use crate::protocol::request::{Client, Request, Verb};
use crate::round_trip::{ask, tell};
use crate::socket_path::SocketPath;
use crate::sys::{self, Arg, Start};

/// Action that git asks of the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Erase,
    Capability,
    /// Prints the raw token.
    FetchToken,
    /// Refreshes now and logs gh in.
    RefreshGh,
    /// TakeOnce dropped the script's cache; now asks for a fresh token.
    InvalidateCache,
    /// `store`, and unknown actions.
    Nothing,
}

impl Action {
    /// `by_default`: what no argument means.
    fn of<'a>(mut arguments: impl Iterator<Item = &'a [u8]>, by_default: Self) -> Self {
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

/// Under its own name, where no action means nothing.
pub(crate) fn run(start: &Start<'_>) -> u8 {
    act(start, Action::of(start.arguments(), Action::Nothing))
}

/// Under the old script's name or any other, where no action means `get`.
pub(crate) fn run_as_script(start: &Start<'_>) -> u8 {
    act(start, Action::of(start.arguments(), Action::Get))
}

fn act(start: &Start<'_>, action: Action) -> u8 {
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

fn answer_git(start: &Start<'_>, verb: Verb) {
    let (Some(scanner), Some(buffer)) = (buffers::SCANNER.take(), buffers::ANSWER.take()) else { return };
    if scanner.open(verb, start.command()).is_err() || read_git(scanner, buffer).is_none() {
        return;
    }
    let Ok(Some(request)) = scanner.finish() else { return };
    let mut place = SocketPath::of(start);
    let outcome = ask(start, &mut place, request, buffer);
    // A rejected password is news for the daemon, and its fate none for git.
    if verb != Verb::Get {
        return;
    }
    if let Some(output) = output(&outcome, request) {
        let _ = sys::write_output(output);
    }
    match outcome {
        Ok(answer) => pass_on_refusal(&answer),
        Err(failure) if is_https(request) => complain(start, failure, &place),
        Err(_) => {}
    }
}

/// Reads up to git's empty line, or to the end of its input.
fn read_git(scanner: &mut Scanner, chunk: &mut [u8]) -> Option<()> {
    loop {
        match sys::read_input(chunk).ok()? {
            0 => return Some(()),
            count if scanner.push(&chunk[..count]).ok()? => return Some(()),
            _ => {}
        }
    }
}

/// Returns the output for git. `quit=1` ends its search at once where asking
/// another helper, askpass or the terminal could only fail later.
fn output<'a>(outcome: &Result<Answer<'a>, Failure>, request: &[u8]) -> Option<&'a [u8]> {
    const QUIT: &[u8] = b"quit=1\n";
    match outcome {
        Ok(answer) => match answer.word {
            Word::Ok => Some(answer.body),
            Word::Refused => Some(QUIT),
            Word::Denied => is_https(request).then_some(QUIT),
            Word::Silent | Word::Malformed => None,
        },
        Err(_) => is_https(request).then_some(QUIT),
    }
}

/// Returns true for a request that a broker could have answered. Without a broker
/// the helper stays silent on all others.
#[inline(never)]
fn is_https(request: &[u8]) -> bool {
    Request::parse(request).is_ok_and(|request| {
        request.protocol.is_some_and(|name| name.eq_ignore_ascii_case(b"https"))
            && request.host.is_some_and(|host| !host.is_empty())
    })
}

#[inline(never)]
fn fetch_token(start: &Start<'_>) -> u8 {
    let mut request = Request::new(Verb::Get);
    request.client = Client::Script;
    request.command = start.command();
    request.name = Some("github");
    let Some(buffer) = buffers::ANSWER.take() else { return 1 };
    let (mut place, mut frame) = (SocketPath::of(start), [0; 128]);
    let mut writer = Writer::new(&mut frame);
    if request.write(&mut writer).is_err() {
        return 1;
    }
    match ask(start, &mut place, writer.written(), buffer) {
        Err(failure) => complain(start, failure, &place),
        Ok(answer) if is_refusal(&answer) => pass_on_refusal(&answer),
        Ok(answer) => match answer.value("password").filter(|_| answer.word == Word::Ok) {
            None => say(&[b"there is no credential named github; see `molecule-broker status`"]),
            Some(token) => {
                let printed = sys::write_output(token).and_then(|()| sys::write_output(b"\n"));
                return u8::from(printed.is_err());
            }
        },
    }
    1
}

#[inline(never)]
fn refresh_gh(start: &Start<'_>) -> u8 {
    let words: [&[u8]; 4] = [b"molecule-broker\0", b"refresh\0", b"--login\0", b"github\0"];
    let mut arguments = [None; 5];
    for (argument, word) in arguments.iter_mut().zip(words) {
        *argument = Arg::new(word);
    }
    fallback::exec_broker(start, &arguments);
    say(&[b"can't run ", fallback::BROKER, b": it is neither beside this program nor on PATH; install it there"]);
    1
}

#[inline(never)]
fn invalidate_cache(start: &Start<'_>) {
    tell(start, &mut SocketPath::of(start), b"molecule/1 refresh\nclient=script\nname=github\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"molecule/1 get\nclient=helper\nprotocol=https\nhost=github.com\n\n";
    const PLAIN: &[u8] = b"molecule/1 get\nclient=helper\nprotocol=http\nhost=github.com\n\n";
    const QUIT: Option<&[u8]> = Some(b"quit=1\n");

    fn action(words: &[&'static str]) -> Action {
        Action::of(words.iter().map(|w| w.as_bytes()), Action::Nothing)
    }

    fn said(answer: &'static [u8], request: &[u8]) -> Option<&'static [u8]> {
        output(&Ok(Answer::parse(answer).unwrap()), request)
    }

    #[test]
    fn rule46_only_one_known_action_does_anything() {
        assert_eq!(action(&["get"]), Action::Get);
        for words in [&[][..], &["store"], &["get", "get"], &["get", ""], &["GET"], &[""], &["--help"]] {
            assert_eq!(action(words), Action::Nothing, "{words:?}");
        }
    }

    #[test]
    fn the_daemons_answer_reaches_git_as_it_is() {
        assert_eq!(said(b"molecule/1 ok\nusername=a\npassword=b\n\n", GET), Some(&b"username=a\npassword=b\n"[..]));
        assert_eq!(said(b"molecule/1 silent\n\n", GET), None);
        assert_eq!(said(b"molecule/1 malformed\nreason=x\n\n", GET), None);
    }

    #[test]
    fn a_refusal_ends_gits_search_also_where_plain_http_is_in_scope() {
        assert_eq!(said(b"molecule/1 refused\nreason=x\n\n", GET), QUIT);
        assert_eq!(said(b"molecule/1 refused\nreason=x\n\n", PLAIN), QUIT);
    }

    #[test]
    fn without_an_answer_only_https_ends_gits_search() {
        for failure in [Failure::NotRunning, Failure::TimedOut, Failure::UntrustedServer(7), Failure::InvalidReply] {
            assert_eq!(output(&Err(failure), GET), QUIT);
            assert_eq!(output(&Err(failure), PLAIN), None);
        }
        assert_eq!(said(b"molecule/1 denied\nreason=x\n\n", GET), QUIT);
        assert_eq!(said(b"molecule/1 denied\nreason=x\n\n", PLAIN), None);
    }

    #[test]
    fn a_request_that_no_broker_could_answer_never_ends_gits_search() {
        for request in [
            &b"molecule/1 get\nclient=helper\nprotocol=https\n\n"[..],
            b"molecule/1 get\nclient=helper\nprotocol=https\nhost=\n\n",
            b"molecule/1 get\nclient=helper\nhost=github.com\n\n",
            b"molecule/1 get\nclient=helper\nprotocol=https\nhost=a\nhost=b\n\n",
        ] {
            assert_eq!(output(&Err(Failure::NotRunning), request), None);
        }
    }
}
