//! What no rule foresaw: for every parser of outside bytes, and for the
//! refresh machine, a function that takes any bytes at all and panics where
//! what comes of them is neither a round trip nor a refusal.
//!
//! Each is judged by something written in another way than what it judges: a
//! naive reference, an inverse, or a model that keeps its own books. The
//! fuzzer drives them by `fuzz/fuzz_targets`; `tests/tests/city/fuzz_corpus.rs`
//! replays `fuzz/corpus` in every test run. `fuzz/README.md` says how an input
//! is laid out.

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

/// An input read as numbers; past its end all are zero.
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

    /// Printable, so that it may stand wherever a text may.
    fn text(&mut self, longest: u8) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| char::from(b' ' + self.byte() % 95)).collect()
    }
}
