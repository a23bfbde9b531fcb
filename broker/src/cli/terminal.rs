//! Properties of stdout: colours and width.

use std::io::IsTerminal;

use crate::system::environment;

/// Layout of text for people.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    colours: bool,
    /// Width in columns; `None` if lines aren't folded.
    width: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Good = 32,
    Doubtful = 33,
    Bad = 31,
}

impl Look {
    /// Layout for a file or a pipe: no colours, and no folding.
    pub const PLAIN: Self = Self { colours: false, width: None };

    /// Returns the layout for this process's stdout. If `NO_COLOR` is set and not empty, there are
    /// no colours (<https://no-color.org>).
    #[must_use]
    pub fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        let set = |name| environment::os(name).is_some();
        let dumb = environment::os("TERM").is_some_and(|term| term == "dumb");
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self { colours: !set("NO_COLOR") && !dumb, width: width.filter(|width| *width >= 40) }
    }

    #[must_use]
    pub fn is_plain(self) -> bool {
        self.width.is_none() && !self.colours
    }

    #[must_use]
    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self.colours { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }

    /// Folds a text that begins at column `from`: it is broken between words at the terminal's
    /// width, and each further line is indented to the same column.
    #[must_use]
    pub fn fold(self, text: &str, from: usize) -> String {
        let Some(room) = self.width.map(|width| width.saturating_sub(from).max(20)) else { return text.to_owned() };
        let (mut out, mut used) = (String::new(), 0);
        for word in text.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                out.push('\n');
                out.push_str(&" ".repeat(from));
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_between_words_and_indented() {
        let look = Look { colours: false, width: Some(45) };
        assert_eq!(
            look.fold("one two three four five six seven", 15),
            "one two three four five six\n               seven"
        );
        assert_eq!(Look::PLAIN.fold("one two", 15), "one two");
    }

    #[test]
    fn without_colours_nothing_is_painted() {
        assert_eq!(Look::PLAIN.paint(Colour::Bad, "expired"), "expired");
        assert_eq!(Look { colours: true, width: None }.paint(Colour::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
