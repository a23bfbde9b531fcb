use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::request::Request;

fn scan(verb: Verb, input: &[u8], piece: usize) -> Result<Option<String>, FormatError> {
    let mut scanner = Scanner::new(verb)?;
    for bytes in input.chunks(piece) {
        if scanner.push(bytes)? {
            break;
        }
    }
    Ok(scanner.finish()?.map(|b| String::from_utf8(b.to_vec()).unwrap()))
}

fn get(input: &str) -> Result<Option<String>, FormatError> {
    scan(Verb::Get, input.as_bytes(), 4096)
}

#[test]
fn keys_for_the_daemons_decision_are_sent_on_unchanged() {
    let sent = get(
        "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=a/b\nusername=u\nurl=https://x\n\n",
    );
    assert_eq!(
        sent.unwrap().unwrap(),
        "molecule/1 get\nclient=helper\ncapability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=a/b\nusername=u\nurl=https://x\n\n"
    );
}

#[test]
fn the_clients_name_is_sent_and_git_cannot_forge_it() {
    let mut scanner = Scanner::blank();
    scanner.begin(Verb::Get, Some(b"git-credential-molecule")).unwrap();
    scanner.push(b"host=h\ncommand=forged\n\n").unwrap();
    let sent = scanner.finish().unwrap().unwrap();
    assert_eq!(sent, b"molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nhost=h\n\n");
    assert_eq!(Scanner::blank().begin(Verb::Get, Some(b"a\nhost=b")), Err(FormatError::Control));
}

#[test]
fn a_duplicate_key_is_sent_on_for_the_daemon_to_refuse() {
    assert_eq!(get("host=a\nhost=b\n").unwrap().unwrap(), "molecule/1 get\nclient=helper\nhost=a\nhost=b\n\n");
}

#[test]
fn rule09_the_servers_own_text_is_never_sent_on() {
    for length in [0, 1, 1001, 4073, 65535] {
        let input = [b"host=h\nwwwauth[]=", &vec![b'\r'; length][..], b"\nstate[]=\0x\nprotocol=https\n\n"].concat();
        let sent = scan(Verb::Get, &input, 4096).unwrap().unwrap();
        assert_eq!(sent, "molecule/1 get\nclient=helper\nhost=h\nprotocol=https\n\n");
    }
}

#[test]
fn passwords_and_unknown_keys_never_leave() {
    let sent = get("host=h\npassword=p\ncredential=c\noauth_refresh_token=o\nnew=n\n").unwrap().unwrap();
    assert_eq!(sent, "molecule/1 get\nclient=helper\nhost=h\n\n");
}

#[test]
fn rule06_a_control_byte_in_any_other_value_is_refused() {
    for key in ["host", "password", "new", "credential"] {
        for byte in (1..0x20u8).filter(|&b| b != b'\n').chain([0, 0x7f]) {
            let input = [key.as_bytes(), b"=a", &[byte], b"b\nhost=h\n\n"].concat();
            assert_eq!(scan(Verb::Get, &input, 7), Err(FormatError::Control), "{key} {byte:#x}");
        }
    }
}

#[test]
fn rule10_a_line_without_key_or_equals_sign_is_refused() {
    assert_eq!(get("host=h\nnonsense\n\n"), Err(FormatError::NoKey));
    assert_eq!(get("host=h\n=x\n\n"), Err(FormatError::NoKey));
    assert_eq!(get("host=h\nnonsense"), Err(FormatError::NoKey));
}

#[test]
fn rule10_input_after_the_empty_line_is_ignored() {
    assert_eq!(get("host=h\n\nnonsense\n").unwrap().unwrap(), "molecule/1 get\nclient=helper\nhost=h\n\n");
    assert_eq!(get("host=h").unwrap().unwrap(), "molecule/1 get\nclient=helper\nhost=h\n\n");
}

#[test]
fn erase_sends_the_hash_and_never_the_password() {
    let hash = String::from_utf8(encoding::hex(&crate::digest::sha256(b"ghs_secret")).to_vec()).unwrap();
    let expected = format!("molecule/1 erase\nclient=helper\nhost=h\nsha256={hash}\n\n");
    let basic = "credential=eC1hY2Nlc3MtdG9rZW46Z2hzX3NlY3JldA==";
    for password in ["password=ghs_secret", basic] {
        let sent = scan(Verb::Erase, format!("host=h\n{password}\n\n").as_bytes(), 5).unwrap().unwrap();
        assert_eq!(sent, expected);
        assert!(!sent.contains("ghs_secret"));
    }
}

#[test]
fn an_erase_without_a_password_sends_nothing() {
    assert_eq!(scan(Verb::Erase, b"host=h\n\n", 64), Ok(None));
    assert_eq!(scan(Verb::Erase, b"host=h\ncredential=!!\n\n", 64), Ok(None));
}

#[test]
fn an_erase_with_an_empty_password_sends_nothing() {
    assert_eq!(scan(Verb::Erase, b"host=h\npassword=\ncredential=\n\n", 64), Ok(None));
}

#[test]
fn rule53_an_erase_hashes_the_whole_of_the_longest_token() {
    for length in [512, 513, 8_192] {
        let token = "x".repeat(length);
        let hash = String::from_utf8(encoding::hex(&crate::digest::sha256(token.as_bytes())).to_vec()).unwrap();
        let sent = scan(Verb::Erase, format!("host=h\npassword={token}\n\n").as_bytes(), 512).unwrap();
        assert_eq!(sent.unwrap(), format!("molecule/1 erase\nclient=helper\nhost=h\nsha256={hash}\n\n"));
    }
}

#[test]
fn a_request_of_at_most_eight_kib_is_accepted() {
    let around = "molecule/1 get\nclient=helper\npath=\n\n".len();
    let of_length = |length: usize| get(&format!("path={}\n\n", "x".repeat(length - around)));
    assert_eq!(of_length(8192).unwrap().unwrap().len(), 8192);
    assert_eq!(of_length(8193), Err(FormatError::TooLong));
}

proptest! {
    #[test]
    fn the_sizes_of_the_reads_change_nothing(lines in proptest::collection::vec("(host|path|wwwauth\\[\\]|password|x)=[ -~]{0,30}", 0..6), piece in 1..50usize) {
        let input: Vec<u8> = lines.iter().flat_map(|l| [l.as_bytes(), b"\n"].concat()).collect();
        for verb in [Verb::Get, Verb::Erase] {
            prop_assert_eq!(scan(verb, &input, piece), scan(verb, &input, 4096));
        }
    }

    #[test]
    fn no_bytes_make_the_scanner_panic_or_send_a_bad_request(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut scanner = Scanner::new(Verb::Get).unwrap();
        if scanner.push(&input).is_ok()
            && let Ok(Some(sent)) = scanner.finish()
        {
            let parsed = Request::parse(sent);
            prop_assert!(matches!(parsed, Ok(_) | Err(FormatError::Twice)), "{parsed:?}");
        }
    }
}
