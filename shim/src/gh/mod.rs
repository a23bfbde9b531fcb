//! The shim under the name `gh`: it sets the token for one call and then executes
//! the real gh.
//!
//! gh never asks a git credential helper, and it prefers a `GH_TOKEN` in its
//! environment to its stored login. An installation token that was put into the
//! container's environment at its start expires within an hour and then breaks gh.
//! So such a token is always removed, even if there is no fresh one.

mod arguments;
mod credential;
mod environment;
mod login;
mod real;

use core::ops::Range;

use crate::buffers;
use crate::deadline::ClientError;
use crate::messages::{print_failure, print_line, print_refusal};
use crate::protocol::answer::AnswerWord;
use crate::protocol::gh;
use crate::protocol::line::MessageWriter;
use crate::protocol::request::{ClientKind, Request, Verb};
use crate::round_trip::ask_broker;
use crate::socket_path::SocketPath;
use crate::sys::{Arg, ProcessStart};
use crate::text::BoundedText;
use arguments::TokenNeed;
use environment::{GhEnvironment, GhHost};

/// Variable that selects the token if a person's login is stored: the broker's by
/// default, or with the value `login` the person's.
const PREFERENCE: &[u8] = b"MOLECULE_BROKER_GH";
const LOGIN: &[u8] = b"login";

#[inline(never)]
pub(crate) fn run(start: &ProcessStart<'_>) -> u8 {
    let mut gh_path;
    let Ok(mut environment) = GhEnvironment::without_dead_tokens(start.envp) else {
        print_line(&[b"there is no memory for gh's environment; free some and run gh again"]);
        return 1;
    };
    let need = TokenNeed::from_arguments(start.arguments());
    if need != TokenNeed::Nothing {
        gh_path = real::gh_path_entry(start);
        let gh_path = gh_path.as_mut().and_then(BoundedText::arg);
        // Programs that gh starts ask gh for a token in turn, as Copilot does.
        let preference = matches!(need, TokenNeed::Login(_)).then(|| Arg::new(b"MOLECULE_BROKER_GH=login\0")).flatten();
        for entry in [gh_path, preference, token_entry(start, need)].into_iter().flatten() {
            environment.set(entry);
        }
    }
    real::exec_gh(start, environment)
}

/// Returns `NAME=token` if this call needs a token and the broker gives one.
fn token_entry(start: &ProcessStart<'_>, need: TokenNeed<'_>) -> Option<Arg<'static>> {
    let mut request = Request::new(Verb::Get);
    request.client = ClientKind::Gh;
    request.command = start.command();
    request.protocol = Some(b"https");
    let pointed_at = start.setting(gh::HOST_VARIABLE.as_bytes());
    let host = match need {
        TokenNeed::Nothing => return None,
        TokenNeed::Token | TokenNeed::Login(_) => GhHost::from_name(pointed_at)?,
        TokenNeed::PrintedToken(named) => GhHost::from_name(named.or(pointed_at))?,
        TokenNeed::GitCredential => {
            request = credential::read_request(start).ok()??;
            GhHost::from_git(request.host?)?
        }
    };
    if host.has_own_token(start.envp) || prefers_login(start, need, host) || names_other_host(start, need, host) {
        return None;
    }
    request.host = Some(host.name);
    fetch_token(start, &request, host.variable())
}

/// True if gh should use the login that a person made.
fn prefers_login(start: &ProcessStart<'_>, need: TokenNeed<'_>, host: GhHost<'_>) -> bool {
    let is_stored = || login::is_stored(start, gh::canonical_host(host.name));
    if let TokenNeed::Login(command) = need {
        if !is_stored() {
            print_line(&[
                b"gh ",
                command,
                b" can't use the broker's token, only a person's own login: run `gh auth login`",
            ]);
        }
        return true;
    }
    match start.setting(PREFERENCE) {
        None => false,
        Some(LOGIN) => is_stored(),
        Some(_) => {
            print_line(&[PREFERENCE, b" has no effect: the only value that it can have is ", LOGIN]);
            false
        }
    }
}

/// True if gh would send the token to a host that it isn't meant for.
fn names_other_host(start: &ProcessStart<'_>, need: TokenNeed<'_>, host: GhHost<'_>) -> bool {
    let repository = start.setting(b"GH_REPO");
    need == TokenNeed::Token && arguments::named_hosts(start.arguments(), repository, |named| host.would_leak_to(named))
}

/// Asks the broker for the token, and returns `NAME=token`.
fn fetch_token(start: &ProcessStart<'_>, request: &Request<'_>, variable: &[u8]) -> Option<Arg<'static>> {
    let (frame, buffer) = (buffers::REQUEST.take()?, buffers::ANSWER.take()?);
    let begin = buffer.as_ptr().addr();
    let mut socket_path = SocketPath::from_environment(start);
    let mut writer = MessageWriter::new(frame);
    request.write(&mut writer).ok()?;
    let token = match ask_broker(start, &mut socket_path, writer.written(), buffer) {
        Ok(answer) => {
            print_refusal(&answer);
            let token = answer.value("password").filter(|t| answer.word == AnswerWord::Ok && !t.is_empty())?;
            let at = token.as_ptr().addr() - begin;
            at..at + token.len()
        }
        // Without a broker gh uses its own login, or reports that it has none.
        Err(ClientError::NotRunning) => return None,
        Err(failure) => {
            print_failure(start, failure, &socket_path);
            return None;
        }
    };
    pair_in_place(buffer, variable, token)
}

/// Turns the answer that holds the token into `NAME=token` within the same buffer.
/// So there is no second copy of the token, and no limit besides the answer's own.
fn pair_in_place(buffer: &'static mut [u8], name: &[u8], token: Range<usize>) -> Option<Arg<'static>> {
    let begin = name.len() + 1;
    let end = begin + token.len();
    if end >= buffer.len() {
        return None;
    }
    buffer.copy_within(token, begin);
    buffer[..name.len()].copy_from_slice(name);
    buffer[name.len()] = b'=';
    buffer[end] = 0;
    Arg::new(&buffer[..=end])
}
