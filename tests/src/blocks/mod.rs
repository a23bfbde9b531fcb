//! The fenced blocks of the documents. A test runs each of them, and [`table`]
//! says how. A block that isn't in the table, or a row without a block, fails
//! `tests/tests/city/readme.rs`.

pub mod console;
pub mod table;

use std::fs;
use std::path::Path;

use crate::docker::repository_root;

/// The text between two fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The place where it begins, such as `README.md:47`.
    pub place: String,
    /// Language after the fence, such as `sh` or `console`.
    pub language: String,
    pub text: String,
}

impl Block {
    /// Returns the block's first line, by which the table identifies it.
    pub fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// Returns every document with instructions, by its path from the repository's
/// root.
pub fn documents() -> Vec<String> {
    let mut names = Vec::new();
    gather(&repository_root().canonicalize().expect("the repository is there"), "", &mut names);
    names.retain(|name| name != "CHANGELOG.md");
    names.sort();
    names
}

fn gather(folder: &Path, name: &str, to: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the repository can be read").flatten() {
        let own = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{name}{own}");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Skips build output and hidden folders.
        if is_folder && own != "target" && !own.starts_with('.') {
            gather(&entry.path(), &format!("{path}/"), to);
        } else if own.ends_with(".md") {
            to.push(path);
        }
    }
}

/// Returns the blocks of one document in their order.
#[track_caller]
pub fn blocks_in(document: &str) -> Vec<Block> {
    let text =
        fs::read_to_string(repository_root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    parse(document, &text)
}

/// Returns the block that begins with this line.
#[track_caller]
pub fn find_block(document: &str, first_line: &str) -> Block {
    let found = blocks_in(document).into_iter().find(|block| block.first_line() == first_line);
    found.unwrap_or_else(|| panic!("{document} has no block that begins with: {first_line}"))
}

fn parse(document: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                let place = format!("{document}:{}", number + 1);
                let block = Block { place, language: String::from(language.trim()), text: String::new() };
                open = Some((block, line.len() - line.trim_start().len()));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                // A block in a list is indented as far as its fence.
                let inside = line.get(..*indent).is_some_and(|start| start.trim().is_empty());
                block.text.push_str(if inside { &line[*indent..] } else { line });
                block.text.push('\n');
            }
            (None, None) => assert!(
                !line.starts_with("    ") || !follows_a_blank(text, number),
                "{document}:{}: a block by indentation has no language; fence it",
                number + 1
            ),
        }
    }
    assert!(open.is_none(), "{document}: a fence isn't closed");
    blocks
}

fn follows_a_blank(text: &str, number: usize) -> bool {
    number > 0 && text.lines().nth(number - 1).is_some_and(|before| before.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_in_a_list_loses_its_indentation_and_no_more() {
        let text = "1. Do\n\n   ```sh\n   if a; then\n       b\n   fi\n   ```\n";
        let blocks = parse("x.md", text);
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].place.as_str(), blocks[0].language.as_str()), ("x.md:3", "sh"));
        assert_eq!(blocks[0].text, "if a; then\n    b\nfi\n");
    }

    #[test]
    #[should_panic(expected = "a block by indentation")]
    fn a_block_without_a_fence_is_refused() {
        parse("x.md", "Do\n\n    rm -rf /\n");
    }
}
