//! Properties that no rule lists. For every parser of outside bytes, and for
//! the refresh machine, there is a function that takes any bytes and panics if
//! the result is neither a round trip nor a refusal.
//!
//! The check is always written in a different way than the code that it checks:
//! a naive reference, an inverse, or a model that keeps its own books. The
//! fuzzer calls these functions from `fuzz/fuzz_targets`;
//! `tests/tests/city/fuzz_corpus.rs` replays `fuzz/corpus` in every test run.
//! `fuzz/README.md` describes the layout of an input.

mod configuration;
mod frame;
mod git_text;
mod lease_memory;
mod origin;
mod platform_answer;
mod prompt;
mod refresh;

pub use configuration::configuration;
pub use frame::frame;
pub use git_text::git_text;
pub use lease_memory::lease_memory;
pub use origin::origin;
pub use platform_answer::platform_answer;
pub use prompt::prompt;
pub use refresh::refresh;

/// An input that is read as numbers. After its end, all numbers are zero.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn below(&mut self, end: u8) -> usize {
        usize::from(self.byte() % end)
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes([0; 8].map(|_: u8| self.byte()))
    }

    /// Returns printable text, which is valid in any text field.
    fn text(&mut self, longest: u8) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| char::from(b' ' + self.byte() % 95)).collect()
    }
}
