//! The shim's messages to people: one line on stderr, `molecule-broker: …`, which
//! says what happened, where, and what to do.

use crate::deadline::ClientError;
use crate::protocol::answer::{Answer, AnswerWord};
use crate::protocol::namespace::{OVERFLOW_UID, OverflowMeaning};
use crate::socket_path::SocketPath;
use crate::sys::{self, Errno, ProcessStart};
use crate::text::BoundedText;
use crate::trust::overflow_meaning;

/// The shim's version, which `molecule-broker doctor` searches in the shim's file.
const OWN_VERSION: &[u8] = concat!(" (this one: molecule-shim/", env!("CARGO_PKG_VERSION"), ")").as_bytes();

/// The longest reason that is printed, in bytes. The remedy is at a reason's end, after
/// the platform's own text, so the limit must leave room for both.
const LONGEST_REASON: usize = 960;

/// Prints why there is no answer, and what to do.
#[inline(never)]
pub(crate) fn print_failure(start: &ProcessStart<'_>, failure: ClientError, socket_path: &SocketPath) {
    match failure {
        ClientError::NotRunning => print_line(&[
            b"the broker isn't running: no process serves ",
            socket_path.display(),
            b", and molecule-broker can't be run in its place; start it with `molecule-broker serve`, or set MOLECULE_BROKER_SOCKET to its socket",
        ]),
        ClientError::SocketsForbidden(errno) => print_line(&[
            b"this process may not open Unix sockets (",
            errno_name(errno),
            b"): most likely an agent's sandbox forbids them; allow Unix sockets in its settings, at least ",
            socket_path.display(),
            b", or run this command outside it",
        ]),
        ClientError::PermissionDenied(errno) => print_line(&[
            b"uid ",
            decimal(start.euid).get(),
            b" may not connect to ",
            socket_path.display(),
            b" (",
            errno_name(errno),
            b"): an agent's sandbox forbids Unix sockets, or the mode of the socket or of its folder keeps this user out; allow that path in the sandbox's settings, or give the socket a wider `mode` or this user's `group` below [socket], and see `molecule-broker doctor`",
        ]),
        ClientError::UntrustedServer(OVERFLOW_UID) if overflow_meaning() != OverflowMeaning::User => print_line(&[
            b"refused the server of ",
            socket_path.display(),
            b": in this user namespace (most likely an agent's sandbox) it shows as uid 65534, as every user does that the namespace doesn't map, and the socket's path can be changed by a user who isn't root; let the sandbox show / read-only (bwrap --ro-bind / /) and keep the socket in folders that only root or the daemon's user can write to, as /run/molecule-broker, or run this command outside the sandbox; see `molecule-broker doctor`",
        ]),
        ClientError::UntrustedServer(uid) => print_line(&[
            b"refused the server of ",
            socket_path.display(),
            b": it runs as uid ",
            decimal(uid).get(),
            b", which is neither root, nor uid ",
            decimal(start.euid).get(),
            b", nor the only user who can write the socket's folder; see `molecule-broker doctor`",
        ]),
        ClientError::TimedOut => print_line(&[
            b"no answer from ",
            socket_path.display(),
            b" in time; see `molecule-broker status` and the broker's log",
        ]),
        ClientError::InvalidReply => print_line(&[
            b"the reply from ",
            socket_path.display(),
            b" isn't valid in this version of the protocol; install broker and shim of the same version",
            OWN_VERSION,
        ]),
    }
}

/// Prints the daemon's reason on stderr if its answer is a refusal.
#[inline(never)]
pub(crate) fn print_refusal(answer: &Answer<'_>) {
    if !is_refusal(answer) {
        return;
    }
    let default_reason: &[u8] = match answer.word {
        AnswerWord::Denied => b"the broker doesn't serve this user; its operator can add it to allow_users",
        _ => b"refused, without a reason; see the broker's log",
    };
    let reason = answer.value("reason").unwrap_or(default_reason);
    print_line(&[&reason[..reason.len().min(LONGEST_REASON)]]);
}

pub(crate) fn is_refusal(answer: &Answer<'_>) -> bool {
    matches!(answer.word, AnswerWord::Refused | AnswerWord::Denied)
}

/// Prints one line on stderr in one write.
#[inline(never)]
pub(crate) fn print_line(pieces: &[&[u8]]) {
    let mut line = BoundedText::<1023>::concat(&[b"molecule-broker: "]);
    for piece in pieces {
        line.push_untrusted(piece);
    }
    let whole = BoundedText::<1024>::concat(&[line.get(), b"\n"]);
    let _ = sys::write_error(whole.get());
}

fn decimal(number: u32) -> BoundedText<10> {
    let mut text = BoundedText::new();
    text.push_number(number);
    text
}

fn errno_name(errno: Errno) -> &'static [u8] {
    match errno {
        Errno::EPERM => b"EPERM",
        Errno::EACCES => b"EACCES",
        Errno::EAFNOSUPPORT => b"EAFNOSUPPORT",
        _ => b"refused by the kernel",
    }
}
