//! Requests and answers on the socket.

use std::collections::HashMap;

use molecule_protocol::answer::Answer;
use molecule_protocol::limits::{MAX_REQUEST, VERSION_WORD};
use molecule_protocol::line::{FormatError, MessageWriter};
use molecule_protocol::request::{Request, find_end};

/// The bytes are both a request as the daemon reads it from a client, and an
/// answer as a client reads it from the daemon.
pub fn frame(bytes: &[u8]) {
    request(bytes);
    answer(bytes);
}

fn request(bytes: &[u8]) {
    let whole = find_end(bytes, true);
    for cut in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1), bytes.len()] {
        let early = find_end(&bytes[..cut.min(bytes.len())], false);
        match (early, whole) {
            (Ok(None), _) => {}
            (Ok(Some(found)), _) => {
                assert_eq!(whole, Ok(Some(found)), "the end of the request moves as more bytes arrive")
            }
            (Err(FormatError::Head), _) => assert_eq!(whole, Err(FormatError::Head), "a valid head is refused early"),
            (Err(_), _) => assert!(cut >= MAX_REQUEST, "refused before the limit"),
        }
    }
    let Ok(Some(found)) = whole else { return };
    assert!(found <= MAX_REQUEST && found <= bytes.len());
    let request = Request::parse(&bytes[..found]);
    assert_eq!(request, Request::parse(bytes), "bytes after the end change the request");
    let lines = naive_lines(&bytes[..found]);
    let Ok(request) = request else { return };

    let lines = lines.expect("a request was read from invalid lines");
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
        assert!(lines.get(key.as_bytes()).is_none_or(|values| values.len() == 1), "{key} is accepted twice");
    }
    assert_eq!(request.client.name().as_bytes(), last("client").unwrap_or(b"helper"));
    assert_eq!(request.sha256.is_some(), last("sha256").is_some());

    let mut buffer = [0; 2 * MAX_REQUEST];
    let mut writer = MessageWriter::new(&mut buffer);
    request.write(&mut writer).expect("a parsed request can be written");
    let written = writer.written();
    assert_eq!(Request::parse(written), Ok(request), "the round trip changes the request");
    if written.len() <= MAX_REQUEST {
        assert_eq!(find_end(written, false), Ok(Some(written.len())));
    }
}

/// Returns the keys and all their values. Returns `None` if a line before the
/// empty one isn't a key and a value without control bytes.
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
    let head = format!("{VERSION_WORD} {}\n", answer.word.name());
    assert_eq!([head.as_bytes(), answer.body, b"\n"].concat(), bytes, "the round trip changes the answer");
    for line in answer.lines() {
        let Some(equals) = line.iter().position(|b| *b == b'=') else { continue };
        let Ok(key) = std::str::from_utf8(&line[..equals]) else { continue };
        let first = answer.lines().find(|l| l.starts_with(&line[..=equals])).map(|l| &l[equals + 1..]);
        assert_eq!(answer.value(key), first);
    }
}
