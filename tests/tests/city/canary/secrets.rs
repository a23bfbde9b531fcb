//! What is looked for: every token that was ever minted, as it is and in
//! base64 with whatever stands before it, such as `x-access-token:`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use molecule_tests::ledger::Ledger;

/// How every token begins.
const HEAD: &str = "ghs_";

pub(crate) struct Secrets<'w> {
    ledger: &'w Ledger,
    heads: [String; 4],
}

impl<'w> Secrets<'w> {
    pub(crate) fn of(ledger: &'w Ledger) -> Self {
        Self { ledger, heads: forms(HEAD) }
    }

    /// Whether a token is in there. A token is minted before anybody has it.
    pub(crate) fn are_in(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        // Next to nothing has even this, and to look for every token is slow.
        self.heads.iter().any(|head| text.contains(head))
            && self.ledger.all().iter().flat_map(|minted| forms(&minted.token)).any(|form| text.contains(&form))
    }
}

/// As it is, and the part of its base64 that is the same whatever the text
/// around it, which may begin at any of three places in a group.
fn forms(text: &str) -> [String; 4] {
    let inside = |before: usize| {
        let encoded = STANDARD_NO_PAD.encode([&b"???"[..before], text.as_bytes()].concat());
        let bits = (before + text.len()) * 8;
        encoded[(before * 8).div_ceil(6)..bits / 6].to_owned()
    };
    [text.to_owned(), inside(0), inside(1), inside(2)]
}

#[test]
fn a_token_is_found_in_plain_text_and_in_any_base64() {
    let ledger = Ledger::default();
    let token = ledger.mint(std::time::Duration::from_secs(60)).token;
    let secrets = Secrets::of(&ledger);
    for around in ["", "x-access-token:", "a:", "ab:", "abc:"] {
        let whole = format!("{around}{token}\"}}");
        assert!(secrets.are_in(whole.as_bytes()), "{whole}");
        assert!(secrets.are_in(format!("Basic {}=", STANDARD_NO_PAD.encode(&whole)).as_bytes()), "{whole}");
    }
    assert!(!secrets.are_in(Ledger::default().mint(std::time::Duration::from_secs(60)).token.as_bytes()));
}
