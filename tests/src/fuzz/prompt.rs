//! The prompts that askpass answers.

use molecule_protocol::askpass::request_for_prompt;
use molecule_protocol::limits::{MAX_PROMPT, MAX_REQUEST};
use molecule_protocol::prompt::{CredentialField, Prompt};
use molecule_protocol::request::{ClientKind, Request, Verb};

use super::Draw;

/// The bytes are a prompt, and also the random source for a valid prompt.
pub fn prompt(bytes: &[u8]) {
    if let Some(prompt) = Prompt::parse(bytes) {
        assert!(bytes.len() <= MAX_PROMPT);
        assert!(is_written_like(&prompt, bytes), "answered, but no git writes this prompt");
        asks_for_that_and_nothing_else(&prompt);
    }
    a_good_one_is_read(&mut Draw(bytes));
}

/// True if the parsed prompt, written as git and git-lfs write it, is the
/// original.
fn is_written_like(prompt: &Prompt<'_>, bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).expect("only ASCII prompts are answered");
    let (word, user) = match prompt.field {
        CredentialField::Username => ("Username", String::new()),
        CredentialField::Password => {
            let url = text.split_once("://").map_or("", |halves| halves.1);
            let raw = url.split('@').next().unwrap_or_default();
            let decoded: Vec<u8> = prompt.username().expect("a password prompt names its user").collect();
            assert_eq!(percent_decoded(raw), decoded);
            assert!(!decoded.is_empty() && !decoded.iter().any(u8::is_ascii_control));
            ("Password", format!("{raw}@"))
        }
    };
    let host = String::from_utf8_lossy(prompt.host);
    assert!(host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)));
    let path = prompt.path.map(|path| String::from_utf8_lossy(path));
    let paths = match &path {
        Some(path) => vec![format!("/{path}")],
        None => vec![String::new(), String::from("/")],
    };
    paths.iter().any(|path| {
        let url = format!("{}://{user}{host}{path}", prompt.scheme.name());
        text == format!("{word} for '{url}': ") || text == format!("{word} for \"{url}\"")
    })
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        decoded.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
        decoded.extend_from_slice(rest.as_bytes());
    }
    decoded
}

fn asks_for_that_and_nothing_else(prompt: &Prompt<'_>) {
    let mut buffer = [0; MAX_REQUEST];
    let Ok(frame) = request_for_prompt(prompt, Some(b"ask"), &mut buffer) else { return };
    let username: Option<Vec<u8>> = prompt.username().map(Iterator::collect);
    let request = Request::parse(frame).expect("the daemon parses what askpass sends");
    let expected = Request {
        client: ClientKind::Askpass,
        command: Some(b"ask"),
        protocol: Some(prompt.scheme.name().as_bytes()),
        host: Some(prompt.host),
        path: prompt.path,
        username: username.as_deref(),
        field: Some(prompt.field),
        ..Request::new(Verb::Get)
    };
    assert_eq!(request, expected);
}

fn a_good_one_is_read(draw: &mut Draw<'_>) {
    const HOST: &[u8] = b"abcxyz0189-._:[]ABC";
    const PATH: &[u8] = b"abcXYZ019-._~/+=,:!$&()*;";
    const USER: &[u8] = b"abcXYZ019-._~$&+,;=";
    let choice = draw.byte();
    let mut pick = |from: &[u8], least: usize| {
        let length = least + draw.below(12);
        (0..length).map(|_| char::from(from[draw.below(from.len() as u8)])).collect::<String>()
    };
    let (host, path, user) = (pick(HOST, 1), pick(PATH, 1), pick(USER, 1));
    let scheme = if choice & 1 == 0 { "https" } else { "http" };
    let escape = if choice & 2 == 0 { "" } else { "%40" };
    let (word, user_part) =
        if choice & 4 == 0 { ("Username", String::new()) } else { ("Password", format!("{user}{escape}@")) };
    let path_part = if choice & 8 == 0 { String::new() } else { format!("/{path}") };
    let url = format!("{scheme}://{user_part}{host}{path_part}");
    let text = if choice & 16 == 0 { format!("{word} for '{url}': ") } else { format!("{word} for \"{url}\"") };
    let prompt = Prompt::parse(text.as_bytes()).unwrap_or_else(|| panic!("git's own prompt is refused: {text}"));
    assert_eq!((prompt.scheme.name(), prompt.host), (scheme, host.as_bytes()));
    assert_eq!(prompt.path, (choice & 8 != 0).then_some(path.as_bytes()));
    assert_eq!(prompt.field.name(), word.to_ascii_lowercase());
}
