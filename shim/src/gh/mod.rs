//! The shim under the name `gh`: gives the real gh its token for one call, and
//! becomes it.
//!
//! gh never asks a git credential helper, and a `GH_TOKEN` in its environment
//! beats its stored login. So the installation token that was frozen into the
//! container's environment is the disease, and is removed whatever happens.

mod arguments;
mod environment;
mod real;

use crate::deadline::Failure;
use crate::memory;
use crate::place::Place;
use crate::protocol::answer::Word;
use crate::protocol::gh;
use crate::protocol::limits::MAX_ANSWER;
use crate::protocol::line::Writer;
use crate::protocol::request::{Client, Request, Verb};
use crate::round_trip::ask;
use crate::speech::{complain, pass_on_refusal};
use crate::sys::{Arg, Start};
use crate::text::Text;
use environment::{Host, Table};

#[inline(never)]
pub(crate) fn run(start: &Start<'_>) -> u8 {
    let mut pair = Text::<MAX_ANSWER>::new();
    let token = wanted(start).and_then(|host| fetch(start, host, &mut pair));
    match Table::of(start.envp, token) {
        Some(table) => real::become_gh(start, table.get()),
        // More variables than anybody has: gh gets them as they are.
        None => real::become_gh(start, start.envp),
    }
}

/// The host whose token this call should have, if it is to have one.
fn wanted<'a>(start: &Start<'a>) -> Option<Host<'a>> {
    if arguments::need_no_token(start.arguments()) {
        return None;
    }
    let host = Host::of(start.setting(gh::HOST.as_bytes())).filter(|host| !host.has_own_token(start.envp))?;
    let repository = start.setting(b"GH_REPO");
    let elsewhere = arguments::named_hosts(start.arguments(), repository, |named| host.would_leak_to(named));
    (!elsewhere).then_some(host)
}

/// Asks the broker, and writes `NAME=token`.
fn fetch<'p>(start: &Start<'_>, host: Host<'_>, pair: &'p mut Text<MAX_ANSWER>) -> Option<Arg<'p>> {
    let mut request = Request::new(Verb::Get);
    request.client = Client::Gh;
    request.command = start.command();
    request.protocol = Some(b"https");
    request.host = Some(host.name);
    let (frame, buffer) = (memory::REQUEST.take()?, memory::ANSWER.take()?);
    let mut place = Place::of(start);
    let mut writer = Writer::new(frame);
    request.write(&mut writer).ok()?;
    match ask(start, &mut place, writer.written(), buffer) {
        Ok(answer) => {
            pass_on_refusal(&answer);
            let token = answer.value("password").filter(|t| answer.word == Word::Ok && !t.is_empty())?;
            for piece in [host.variable(), b"=", token] {
                pair.push(piece);
            }
            pair.arg()
        }
        // Without a broker there is gh's own login, and gh says what it lacks.
        Err(Failure::Nobody) => None,
        Err(failure) => {
            complain(start, failure, &place);
            None
        }
    }
}
