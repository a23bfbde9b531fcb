//! The shim's messages to people: one line on stderr, `molecule-broker: …`,
//! which says what happened, where, and what to do.

use crate::deadline::Failure;
use crate::protocol::answer::{Answer, Word};
use crate::protocol::namespace::{OVERFLOW_UID, Overflow};
use crate::socket_path::SocketPath;
use crate::sys::{self, Errno, Start};
use crate::text::Text;
use crate::trust::overflow;

/// `doctor` finds it in the shim's own file.
const OWN_VERSION: &[u8] = concat!(" (this one: molecule-shim/", env!("CARGO_PKG_VERSION"), ")").as_bytes();

/// The remedy stands at its end, behind what the platform said.
const LONGEST_REASON: usize = 960;

/// Says why there is no answer.
#[inline(never)]
pub(crate) fn complain(start: &Start<'_>, failure: Failure, place: &SocketPath) {
    match failure {
        Failure::NotRunning => say(&[
            b"the broker isn't running: no process serves ",
            place.shown(),
            b", and molecule-broker can't be run in its place; start it with `molecule-broker serve`, or set MOLECULE_BROKER_SOCKET to its socket",
        ]),
        Failure::SocketsForbidden(errno) => say(&[
            b"this process may not open Unix sockets (",
            name(errno),
            b"): most likely an agent's sandbox forbids them; allow Unix sockets in its settings, at least ",
            place.shown(),
            b", or run this command outside it",
        ]),
        Failure::PermissionDenied(errno) => say(&[
            b"uid ",
            number(start.euid).get(),
            b" may not connect to ",
            place.shown(),
            b" (",
            name(errno),
            b"): an agent's sandbox forbids Unix sockets, or the mode of the socket or of its folder keeps this user out; allow that path in the sandbox's settings, or give the socket a wider `mode` or this user's `group` below [socket], and see `molecule-broker doctor`",
        ]),
        Failure::UntrustedServer(OVERFLOW_UID) if overflow() != Overflow::User => say(&[
            b"refused the server of ",
            place.shown(),
            b": in this user namespace (most likely an agent's sandbox) it shows as uid 65534, as every user does that the namespace doesn't map, and the socket's path can be changed by a user who isn't root; let the sandbox show / read-only (bwrap --ro-bind / /) and keep the socket in folders that only root or the daemon's user can write to, as /run/molecule-broker, or run this command outside the sandbox; see `molecule-broker doctor`",
        ]),
        Failure::UntrustedServer(uid) => say(&[
            b"refused the server of ",
            place.shown(),
            b": it runs as uid ",
            number(uid).get(),
            b", which is neither root, nor uid ",
            number(start.euid).get(),
            b", nor the only user who can write the socket's folder; see `molecule-broker doctor`",
        ]),
        Failure::TimedOut => say(&[
            b"no answer from ",
            place.shown(),
            b" in time; see `molecule-broker status` and the broker's log",
        ]),
        Failure::InvalidReply => say(&[
            b"what serves ",
            place.shown(),
            b" gave no answer of this version; install broker and shim of the same version",
            OWN_VERSION,
        ]),
    }
}

/// Says the daemon's reason on stderr, if its answer is a refusal.
#[inline(never)]
pub(crate) fn pass_on_refusal(answer: &Answer<'_>) {
    if !is_refusal(answer) {
        return;
    }
    let unsaid: &[u8] = match answer.word {
        Word::Denied => b"the broker doesn't serve this user; its operator can add it to allow_users",
        _ => b"refused, without a reason; see the broker's log",
    };
    let reason = answer.value("reason").unwrap_or(unsaid);
    say(&[&reason[..reason.len().min(LONGEST_REASON)]]);
}

pub(crate) fn is_refusal(answer: &Answer<'_>) -> bool {
    matches!(answer.word, Word::Refused | Word::Denied)
}

/// One line, in one write.
#[inline(never)]
pub(crate) fn say(pieces: &[&[u8]]) {
    let mut line = Text::<1023>::of(&[b"molecule-broker: "]);
    for piece in pieces {
        line.push_foreign(piece);
    }
    let whole = Text::<1024>::of(&[line.get(), b"\n"]);
    let _ = sys::write_error(whole.get());
}

fn number(number: u32) -> Text<10> {
    let mut text = Text::new();
    text.push_number(number);
    text
}

fn name(errno: Errno) -> &'static [u8] {
    match errno {
        Errno::EPERM => b"EPERM",
        Errno::EACCES => b"EACCES",
        Errno::EAFNOSUPPORT => b"EAFNOSUPPORT",
        _ => b"refused by the kernel",
    }
}
