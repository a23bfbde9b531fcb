//! The shim under the name `gh`: gives the real gh its token for one call, and
//! becomes it.
//!
//! gh never asks a git credential helper, and a `GH_TOKEN` in its environment
//! beats its stored login. So the installation token that was frozen into the
//! container's environment is the disease, and is removed whatever happens.

mod arguments;
mod credential;
mod environment;
mod login;
mod real;

use core::ops::Range;

use crate::buffers;
use crate::deadline::Failure;
use crate::messages::{complain, pass_on_refusal, say};
use crate::protocol::answer::Word;
use crate::protocol::gh;
use crate::protocol::line::Writer;
use crate::protocol::request::{Client, Request, Verb};
use crate::round_trip::ask;
use crate::socket_path::SocketPath;
use crate::sys::{Arg, Start};
use crate::text::Text;
use arguments::Need;
use environment::{Host, Table};

/// Says whose token gh works with, where a person's login is stored: the
/// broker's, or with the value `login` the person's.
const PREFERENCE: &[u8] = b"MOLECULE_BROKER_GH";
const LOGIN: &[u8] = b"login";

#[inline(never)]
pub(crate) fn run(start: &Start<'_>) -> u8 {
    let mut way_back;
    let Ok(mut table) = Table::of(start.envp) else {
        say(&[b"no memory for gh's environment"]);
        return 1;
    };
    let need = Need::of(start.arguments());
    if need != Need::Nothing {
        way_back = real::way_back(start);
        let way_back = way_back.as_mut().and_then(Text::arg);
        // What gh starts asks gh for a token in its turn, as Copilot does.
        let preference = matches!(need, Need::Login(_)).then(|| Arg::new(b"MOLECULE_BROKER_GH=login\0")).flatten();
        for entry in [way_back, preference, token(start, need)].into_iter().flatten() {
            table.set(entry);
        }
    }
    real::become_gh(start, table)
}

/// `NAME=token`, if this call should have one and there is one.
fn token(start: &Start<'_>, need: Need<'_>) -> Option<Arg<'static>> {
    let mut request = Request::new(Verb::Get);
    request.client = Client::Gh;
    request.command = start.command();
    request.protocol = Some(b"https");
    let pointed_at = start.setting(gh::HOST.as_bytes());
    let host = match need {
        Need::Nothing => return None,
        Need::Token | Need::Login(_) => Host::of(pointed_at)?,
        Need::PrintedToken(named) => Host::of(named.or(pointed_at))?,
        Need::GitCredential => {
            request = credential::read(start).ok()??;
            Host::named_by_git(request.host?)?
        }
    };
    if host.has_own_token(start.envp) || leaves_it_to_login(start, need, host) || leads_elsewhere(start, need, host) {
        return None;
    }
    request.host = Some(host.name);
    fetch(start, &request, host.variable())
}

/// True if gh is to work with the login that a person made.
fn leaves_it_to_login(start: &Start<'_>, need: Need<'_>, host: Host<'_>) -> bool {
    let is_stored = || login::is_stored(start, gh::canonical(host.name));
    if let Need::Login(command) = need {
        if !is_stored() {
            say(&[b"gh ", command, b" can't use the broker's token, only a person's own login: run `gh auth login`"]);
        }
        return true;
    }
    match start.setting(PREFERENCE) {
        None => false,
        Some(LOGIN) => is_stored(),
        Some(_) => {
            say(&[PREFERENCE, b" has no effect: the only value that it can have is ", LOGIN]);
            false
        }
    }
}

/// True if gh would send the token to another host than the one it is for.
fn leads_elsewhere(start: &Start<'_>, need: Need<'_>, host: Host<'_>) -> bool {
    let repository = start.setting(b"GH_REPO");
    need == Need::Token && arguments::named_hosts(start.arguments(), repository, |named| host.would_leak_to(named))
}

/// Asks the broker.
fn fetch(start: &Start<'_>, request: &Request<'_>, variable: &[u8]) -> Option<Arg<'static>> {
    let (frame, buffer) = (buffers::REQUEST.take()?, buffers::ANSWER.take()?);
    let begin = buffer.as_ptr().addr();
    let mut place = SocketPath::of(start);
    let mut writer = Writer::new(frame);
    request.write(&mut writer).ok()?;
    let token = match ask(start, &mut place, writer.written(), buffer) {
        Ok(answer) => {
            pass_on_refusal(&answer);
            let token = answer.value("password").filter(|t| answer.word == Word::Ok && !t.is_empty())?;
            let at = token.as_ptr().addr() - begin;
            at..at + token.len()
        }
        // Without a broker there is gh's own login, and gh says what it lacks.
        Err(Failure::NotRunning) => return None,
        Err(failure) => {
            complain(start, failure, &place);
            return None;
        }
    };
    pair_in_place(buffer, variable, token)
}

/// Makes `NAME=token` of the answer that holds the token: no copy of it, and no
/// limit besides the answer's own.
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
