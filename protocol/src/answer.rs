//! The daemon's answers.

use crate::limits::VERSION_WORD;

/// The word that an answer begins with. The crate's documentation lists their
/// meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerWord {
    Ok,
    Silent,
    Refused,
    Denied,
    Malformed,
}

/// A whole answer, borrowed from the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub word: AnswerWord,
    /// The lines between the head and the empty line, each ended by LF.
    pub body: &'a [u8],
}

impl AnswerWord {
    pub const ALL: [Self; 5] = [Self::Ok, Self::Silent, Self::Refused, Self::Denied, Self::Malformed];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
        }
    }
}

impl<'a> Answer<'a> {
    /// Reads all bytes that came before the connection closed. Returns `None` if they
    /// aren't a whole answer of this version: then the daemon ended, and the client
    /// should ask again.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(VERSION_WORD.as_bytes())?.strip_prefix(b" ")?;
        let head_end = rest.iter().position(|&b| b == b'\n')?;
        let word = AnswerWord::ALL.into_iter().find(|w| w.name().as_bytes() == &rest[..head_end])?;
        let body = rest[head_end + 1..].strip_suffix(b"\n")?;
        let ended = body.is_empty() || body.ends_with(b"\n");
        ended.then_some(Self { word, body })
    }

    /// Returns the value of the first line with this key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a [u8]> {
        self.lines().find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
    }

    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.body.split(|&b| b == b'\n').filter(|l| !l.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_answer_is_never_read() {
        let whole = b"molecule/1 ok\nusername=a\npassword=b\n\n";
        let answer = Answer::parse(whole).unwrap();
        assert_eq!((answer.word, answer.value("password")), (AnswerWord::Ok, Some(&b"b"[..])));
        for cut in 0..whole.len() {
            assert_eq!(Answer::parse(&whole[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn an_answer_may_have_no_lines() {
        let answer = Answer::parse(b"molecule/1 silent\n\n").unwrap();
        assert_eq!((answer.word, answer.lines().count()), (AnswerWord::Silent, 0));
    }

    #[test]
    fn another_version_or_word_is_not_an_answer() {
        assert_eq!(Answer::parse(b"molecule/2 ok\n\n"), None);
        assert_eq!(Answer::parse(b"molecule/1 yes\n\n"), None);
    }
}
