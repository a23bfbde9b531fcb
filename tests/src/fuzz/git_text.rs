//! Git's credential text, on its way through the shim to the daemon.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use molecule_protocol::git::Scanner;
use molecule_protocol::limits::MAX_REQUEST;
use molecule_protocol::line::FormatError;
use molecule_protocol::request::{ClientKind, Request, Verb, find_end};
use molecule_protocol::{digest, encoding};

/// The first byte is the verb (`e` for `erase`). The second is the length of
/// the pieces in which the rest arrives.
pub fn git_text(bytes: &[u8]) {
    let [verb, piece, text @ ..] = bytes else { return };
    let verb = if *verb == b'e' { Verb::Erase } else { Verb::Get };
    let sent = scan(verb, text, text.len().max(1));
    let in_pieces = scan(verb, text, usize::from(*piece % 32) + 1);
    assert_eq!(sent.is_ok(), in_pieces.is_ok(), "the cuts decide whether it is refused");
    let expected = naive(verb, text);
    match (sent, in_pieces) {
        (Ok(sent), Ok(in_pieces)) => {
            assert_eq!(sent, in_pieces, "the cuts change what is sent");
            // Byte for byte, so the frame contains nothing of a password,
            // `wwwauth[]` or `state[]`.
            assert_eq!(Ok(&sent), expected.as_ref(), "the frame contains more or less than it may");
            if let Some(frame) = sent {
                at_the_daemon(verb, &frame);
            }
        }
        _ => assert_eq!(expected, Err(()), "refused without a reason"),
    }
}

fn scan(verb: Verb, text: &[u8], piece: usize) -> Result<Option<Vec<u8>>, FormatError> {
    let mut scanner = Scanner::new(verb)?;
    for piece in text.chunks(piece) {
        scanner.push(piece)?;
    }
    Ok(scanner.finish()?.map(<[u8]>::to_vec))
}

fn at_the_daemon(verb: Verb, frame: &[u8]) {
    assert_eq!(find_end(frame, false), Ok(Some(frame.len())));
    match Request::parse(frame) {
        Ok(request) => {
            assert_eq!((request.verb, request.client), (verb, ClientKind::Helper));
            assert_eq!(request.sha256.is_some(), verb == Verb::Erase);
        }
        Err(fault) => assert_eq!(fault, FormatError::Twice, "the shim sends a frame that the daemon can't parse"),
    }
}

/// Returns the frame that may be sent, computed from whole lines.
fn naive(verb: Verb, text: &[u8]) -> Result<Option<Vec<u8>>, ()> {
    let mut frame = format!("molecule/1 {}\nclient=helper\n", verb.name()).into_bytes();
    let mut rejected = None;
    for line in text.split(|b| *b == b'\n').take_while(|line| !line.is_empty()) {
        let equals = line.iter().position(|b| *b == b'=').filter(|at| *at > 0).ok_or(())?;
        let (key, value) = (&line[..equals], &line[equals + 1..]);
        let is_servers_own = key == b"wwwauth[]" || key == b"state[]";
        let checked = if is_servers_own { key } else { line };
        if checked.iter().any(u8::is_ascii_control) {
            return Err(());
        }
        match key {
            b"protocol" | b"host" | b"path" | b"username" | b"url" | b"capability[]" => {
                frame.extend_from_slice(line);
                frame.push(b'\n');
            }
            b"password" => rejected = Some(value.to_vec()).filter(|v| !v.is_empty()),
            b"credential" => rejected = basic_password(value),
            _ => {}
        }
    }
    if frame.len() > MAX_REQUEST {
        return Err(());
    }
    if verb == Verb::Erase {
        let Some(password) = rejected else { return Ok(None) };
        frame.extend_from_slice(b"sha256=");
        frame.extend_from_slice(&encoding::hex(&digest::sha256(&password)));
        frame.push(b'\n');
    }
    frame.push(b'\n');
    if frame.len() > MAX_REQUEST { Err(()) } else { Ok(Some(frame)) }
}

fn basic_password(value: &[u8]) -> Option<Vec<u8>> {
    let pair = STANDARD.decode(value).ok()?;
    let colon = pair.iter().position(|b| *b == b':')?;
    Some(pair[colon + 1..].to_vec())
}
