use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;

type Parts<'a> = (CredentialField, Scheme, &'a str, Option<&'a str>, Option<Vec<u8>>);

fn parse(text: &str) -> Option<Parts<'_>> {
    let prompt = Prompt::parse(text.as_bytes())?;
    let str = |bytes| core::str::from_utf8(bytes).unwrap();
    let user = prompt.username().map(Iterator::collect);
    Some((prompt.field, prompt.scheme, str(prompt.host), prompt.path.map(str), user))
}

#[test]
fn gits_two_prompts_are_read() {
    assert_eq!(
        parse("Username for 'https://github.com': "),
        Some((CredentialField::Username, Scheme::Https, "github.com", None, None))
    );
    assert_eq!(
        parse("Password for 'https://x-access-token@github.com': "),
        Some((CredentialField::Password, Scheme::Https, "github.com", None, Some(b"x-access-token".to_vec())))
    );
    assert_eq!(
        parse("Password for 'http://bot@localhost:3000/org/repo.git': "),
        Some((CredentialField::Password, Scheme::Http, "localhost:3000", Some("org/repo.git"), Some(b"bot".to_vec())))
    );
}

#[test]
fn git_lfs_prompts_are_read() {
    assert_eq!(
        parse("Username for \"https://github.com/org/repo.git\""),
        Some((CredentialField::Username, Scheme::Https, "github.com", Some("org/repo.git"), None))
    );
    assert_eq!(
        parse("Password for \"https://x-access-token@github.com/\""),
        Some((CredentialField::Password, Scheme::Https, "github.com", None, Some(b"x-access-token".to_vec())))
    );
}

#[test]
fn an_escaped_user_name_is_decoded() {
    let user = parse("Password for 'https://bot%40example.com@git.example.com': ").unwrap().4;
    assert_eq!(user, Some(b"bot@example.com".to_vec()));
}

#[test]
fn rule15_forged_prompts_are_not_answered() {
    for text in [
        "Password for 'https://x-access-token@github.com/@evil.example': ",
        "Password for 'https://x-access-token%40github.com%2F@evil.example@': ",
        "Password for 'https://x-access-token@github.com%40github.com%2F@evil.example': ",
        "Password for 'https://a@b@github.com': ",
        "(git@evil) Password for 'https://x-access-token@github.com': ",
        " Password for 'https://x-access-token@github.com': ",
        "Password for 'https://x-access-token@github.com':  ",
        "Password for 'https://x-access-token@github.com':",
        "Password for 'https://x-access-token@github.com': \n",
        "Password for 'https://x-access-token@github.com\n': ",
        "\nPassword for 'https://x-access-token@github.com': ",
        "Password for 'https://x-access-token@git\u{1b}hub.com': ",
        "Password for 'https://x-access-token@github.com\": ",
        "Password for \"https://x-access-token@github.com': ",
        "Password for \"https://x-access-token@github.com\": ",
        "Password for 'https://github.com': ",
        "Password for 'https://@github.com': ",
        "Password for 'https://a%0a@github.com': ",
        "Password for 'https://a%4@github.com': ",
        "Password for 'https://a%zz@github.com': ",
        "Password for 'https://a b@github.com': ",
        "Password for 'https://a:b@github.com': ",
        "Username for 'https://user@github.com': ",
        "Username for 'https://github.com%2f.evil.example': ",
        "Username for 'https://github.com/a%2fb': ",
        "Username for 'https://github.com/a b': ",
        "Username for 'https://github.com/a'b': ",
        "Username for 'https://github.com?x': ",
        "Username for 'https://': ",
        "Username for 'ssh://github.com': ",
        "Username for 'HTTPS://github.com': ",
        "username for 'https://github.com': ",
        "Username for 'https://github.com': Username for 'https://github.com': ",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

#[test]
fn rule15_percent_escapes_before_the_at_never_change_the_host() {
    let text = "Password for 'https://x-access-token%40github.com%2F@evil.example': ";
    assert_eq!(parse(text).unwrap().2, "evil.example");
}

#[test]
fn rule16_other_programs_prompts_are_not_answered() {
    for text in [
        "Username: ",
        "Password: ",
        "",
        "Enter passphrase for key '/home/agent/.ssh/id_ed25519': ",
        "Enter PIN for 'key': ",
        "git@github.com's password: ",
        "The authenticity of host 'github.com (140.82.121.3)' can't be established.\nAre you sure?",
        "Certificate problem.",
        "Passwort für 'https://x-access-token@github.com': ",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
    let long = format!("Username for 'https://github.com/{}': ", "a".repeat(MAX_PROMPT));
    assert_eq!(parse(&long), None);
}

proptest! {
    #[test]
    fn one_more_byte_anywhere_never_changes_the_host(at in 0..100usize, byte: u8) {
        let mut text = b"Password for 'https://x-access-token@github.com/org/repo': ".to_vec();
        let at = at % (text.len() + 1);
        text.insert(at, byte);
        if let Some(prompt) = Prompt::parse(&text) {
            let longer_host = (37..=47).contains(&at);
            prop_assert!(prompt.host == b"github.com" || longer_host, "{:?}", core::str::from_utf8(&text));
            prop_assert!(!prompt.host.contains(&b'@'));
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(tail in proptest::collection::vec(any::<u8>(), 0..80)) {
        for head in ["Username for '", "Password for \"https://", "Password for 'https://a%"] {
            let _ = Prompt::parse(&[head.as_bytes(), &tail[..]].concat());
        }
        let _ = vec![Prompt::parse(&tail)];
    }
}

#[test]
fn a_prompt_of_at_most_four_kib_is_read() {
    let around = "Username for 'https://h/': ".len();
    let of_length = |length: usize| format!("Username for 'https://h/{}': ", "p".repeat(length - around));
    assert!(parse(&of_length(4096)).is_some());
    assert_eq!(parse(&of_length(4097)), None);
}
