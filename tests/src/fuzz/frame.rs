//! Requests and answers on the socket.

use std::collections::HashMap;

use molecule_protocol::answer::Answer;
use molecule_protocol::limits::{MAX_REQUEST, VERSION};
use molecule_protocol::line::{Fault, Writer};
use molecule_protocol::request::{Request, end};

/// The bytes are what the daemon reads from a client, and what a client reads
/// from a daemon.
pub fn frame(bytes: &[u8]) {
    request(bytes);
    answer(bytes);
}

fn request(bytes: &[u8]) {
    let whole = end(bytes, true);
    for cut in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1), bytes.len()] {
        let early = end(&bytes[..cut.min(bytes.len())], false);
        match (early, whole) {
            (Ok(None), _) => {}
            (Ok(Some(found)), _) => assert_eq!(whole, Ok(Some(found)), "an end that moves as more comes"),
            (Err(Fault::Head), _) => assert_eq!(whole, Err(Fault::Head), "a good head refused early"),
            (Err(_), _) => assert!(cut >= MAX_REQUEST, "refused before its limit"),
        }
    }
    let Ok(Some(found)) = whole else { return };
    assert!(found <= MAX_REQUEST && found <= bytes.len());
    let request = Request::parse(&bytes[..found]);
    assert_eq!(request, Request::parse(bytes), "what follows the end is ignored");
    let lines = naive_lines(&bytes[..found]);
    let Ok(request) = request else { return };

    let lines = lines.expect("a request was read out of lines that are none");
    let last = |key: &str| lines.get(key.as_bytes()).map(|values| values[values.len() - 1]);
    for (key, value) in [
        ("protocol", request.protocol),
        ("host", request.host),
        ("path", request.path),
        ("username", request.username),
        ("url", request.url),
        ("name", request.name.map(str::as_bytes)),
        ("field", request.field.map(|f| f.name().as_bytes())),
    ] {
        assert_eq!(value, last(key), "{key}");
        assert!(lines.get(key.as_bytes()).is_none_or(|values| values.len() == 1), "{key} twice");
    }
    assert_eq!(request.client.name().as_bytes(), last("client").unwrap_or(b"helper"));
    assert_eq!(request.sha256.is_some(), last("sha256").is_some());

    let mut buffer = [0; 2 * MAX_REQUEST];
    let mut writer = Writer::new(&mut buffer);
    request.write(&mut writer).expect("what was read can be written");
    let written = writer.written();
    assert_eq!(Request::parse(written), Ok(request), "read, written, read");
    if written.len() <= MAX_REQUEST {
        assert_eq!(end(written, false), Ok(Some(written.len())));
    }
}

/// Keys and all their values, or `None` if any line up to the empty one is no
/// pair of clean bytes.
fn naive_lines(bytes: &[u8]) -> Option<HashMap<&[u8], Vec<&[u8]>>> {
    let mut lines: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for line in bytes.split(|b| *b == b'\n').skip(1) {
        if line.is_empty() {
            break;
        }
        let mut halves = line.splitn(2, |b| *b == b'=');
        let (key, value) = (halves.next()?, halves.next()?);
        if key.is_empty() || line.iter().any(|b| b.is_ascii_control()) {
            return None;
        }
        lines.entry(key).or_default().push(value);
    }
    Some(lines)
}

fn answer(bytes: &[u8]) {
    let Some(answer) = Answer::parse(bytes) else { return };
    let head = format!("{VERSION} {}\n", answer.word.name());
    assert_eq!([head.as_bytes(), answer.body, b"\n"].concat(), bytes, "read and put together again");
    for line in answer.lines() {
        let Some(equals) = line.iter().position(|b| *b == b'=') else { continue };
        let Ok(key) = std::str::from_utf8(&line[..equals]) else { continue };
        let first = answer.lines().find(|l| l.starts_with(&line[..=equals])).map(|l| &l[equals + 1..]);
        assert_eq!(answer.value(key), first);
    }
}
