//! The daemon's answers.

use crate::limits::VERSION;

/// The word that an answer begins with. What each means stands in the crate's
/// documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Ok,
    Silent,
    Refused,
    Denied,
    Malformed,
}

/// A whole answer, borrowed from the bytes that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub word: Word,
    /// The lines between the head and the empty line, each with its LF.
    pub body: &'a [u8],
}

impl Word {
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
    /// Reads all that came before the connection closed. `None` where that is
    /// no whole answer of this version: then the daemon went away, and asking
    /// again is right.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(VERSION.as_bytes())?.strip_prefix(b" ")?;
        let head_end = rest.iter().position(|&b| b == b'\n')?;
        let word = Word::ALL.into_iter().find(|w| w.name().as_bytes() == &rest[..head_end])?;
        let body = rest[head_end + 1..].strip_suffix(b"\n")?;
        let ended = body.is_empty() || body.ends_with(b"\n");
        ended.then_some(Self { word, body })
    }

    /// The value of the first line with this key.
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
    fn an_answer_that_was_cut_anywhere_is_none() {
        let whole = b"molecule/1 ok\nusername=a\npassword=b\n\n";
        let answer = Answer::parse(whole).unwrap();
        assert_eq!((answer.word, answer.value("password")), (Word::Ok, Some(&b"b"[..])));
        for cut in 0..whole.len() {
            assert_eq!(Answer::parse(&whole[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn an_answer_may_have_no_lines() {
        let answer = Answer::parse(b"molecule/1 silent\n\n").unwrap();
        assert_eq!((answer.word, answer.lines().count()), (Word::Silent, 0));
    }

    #[test]
    fn another_version_or_word_is_no_answer() {
        assert_eq!(Answer::parse(b"molecule/2 ok\n\n"), None);
        assert_eq!(Answer::parse(b"molecule/1 yes\n\n"), None);
    }
}
