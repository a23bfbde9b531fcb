//! The texts to search for: every token that was ever minted, in plain text and
//! in base64 after any prefix, such as `x-access-token:`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use molecule_tests::ledger::Ledger;

/// The first bytes of every token.
const HEAD: &str = "ghs_";

pub(crate) struct Secrets<'w> {
    ledger: &'w Ledger,
    heads: [String; 4],
}

impl<'w> Secrets<'w> {
    pub(crate) fn of(ledger: &'w Ledger) -> Self {
        Self { ledger, heads: forms(HEAD) }
    }

    /// True if the bytes contain a token. Each token is in the ledger before a
    /// client has it.
    pub(crate) fn are_in(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        // Almost no text contains even this, and searching for every token is
        // slow.
        self.heads.iter().any(|head| text.contains(head))
            && self.ledger.all().iter().flat_map(|minted| forms(&minted.token)).any(|form| text.contains(&form))
    }
}

/// Returns the text itself, and the part of its base64 that doesn't depend on
/// the surrounding text. The text may begin at any of three offsets in a group.
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
