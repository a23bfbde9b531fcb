//! Removes the lines that `setup-git` wrote from the text of a git configuration file. git's own
//! `--unset` also removes blank lines, and keeps or removes a header depending on the comments
//! around it (git-config(1), BUGS).
//!
//! Only lines in the form that git writes are ours. A line that a person has rewritten, or has put
//! a comment on, stays.

use crate::git_config::{names_askpass, names_helper};

/// The remaining text, and the keys of the removed entries.
pub(super) struct Remainder {
    pub text: Vec<u8>,
    pub removed: Vec<String>,
}

/// Removes each empty helper that ours follows, together with ours, and each askpass that is ours,
/// if `is_meant` returns true for the key.
pub(super) fn remove_ours(text: &[u8], is_meant: impl Fn(&str) -> bool) -> Remainder {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut gone = vec![false; lines.len()];
    let mut removed: Vec<String> = Vec::new();
    for Block { start, end, section } in blocks(&lines) {
        let entries: Vec<_> = (start + 1..end).filter_map(|at| Some((at, parse_entry(lines[at])?))).collect();
        let mut ours = claimed_helpers(&entries);
        let mut key = format!("{section}.helper");
        if section == "core" {
            key = "core.askPass".into();
            ours = entries.iter().filter(|(_, entry)| is_our_askpass(entry)).map(|(at, _)| *at).collect();
        }
        if ours.is_empty() || !is_meant(&key) {
            continue;
        }
        ours.iter().for_each(|at| gone[*at] = true);
        gone[start] = is_bare(lines[start]) && (start + 1..end).all(|at| gone[at] || lines[at].trim_ascii().is_empty());
        if !removed.contains(&key) {
            removed.push(key);
        }
    }
    let kept = lines.iter().zip(gone).filter(|(_, gone)| !gone).map(|(line, _)| *line);
    Remainder { text: kept.collect::<Vec<_>>().concat(), removed }
}

/// A section: its header, and the lines below it.
struct Block {
    start: usize,
    end: usize,
    /// The section's name as in a key: `credential.https://github.com`.
    section: String,
}

fn blocks(lines: &[&[u8]]) -> Vec<Block> {
    let headers: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].trim_ascii_start().starts_with(b"[")).collect();
    let ends = headers.iter().skip(1).copied().chain([lines.len()]);
    let block =
        |(start, end): (&usize, usize)| Some(Block { start: *start, end, section: parse_section(lines[*start])? });
    headers.iter().zip(ends).filter_map(block).collect()
}

fn parse_section(header: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(header.trim_ascii());
    let inside = text.strip_prefix('[')?;
    let Some((name, url)) = inside.split_once(" \"") else {
        return Some(inside.split_once(']')?.0.to_ascii_lowercase());
    };
    Some(format!("{}.{}", name.to_ascii_lowercase(), url.split_once("\"]")?.0))
}

/// True if the header's line has no key after the header.
fn is_bare(header: &[u8]) -> bool {
    header.trim_ascii_end().ends_with(b"]")
}

/// Parses a line into a name in lower case and its value. Returns `None` for a line that isn't in
/// the form that git writes.
fn parse_entry(line: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(line);
    let (name, value) = text.trim().split_once('=')?;
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Some(name.trim().to_ascii_lowercase()).filter(|name| is_name(name)).zip(unescape(value.trim()))
}

/// Decodes a value by git's rules for quotes and escapes.
fn unescape(value: &str) -> Option<String> {
    let (mut out, mut is_quoted) = (String::new(), false);
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' => out.push(rest.next().filter(|escaped| matches!(escaped, '\\' | '"'))?),
            '#' | ';' if !is_quoted => return None,
            _ => out.push(c),
        }
    }
    (!is_quoted).then_some(out)
}

/// A line's number, and the name and value on it.
type EntryLine = (usize, (String, String));

/// Returns the lines of each empty helper that ours follows, and of ours.
fn claimed_helpers(entries: &[EntryLine]) -> Vec<usize> {
    let helpers: Vec<(usize, &str)> = entries
        .iter()
        .filter(|(_, (name, _))| name == "helper")
        .map(|(at, (_, value))| (*at, value.as_str()))
        .collect();
    let pairs = helpers.windows(2).filter(|pair| pair[0].1.is_empty() && names_helper(pair[1].1));
    pairs.flat_map(|pair| [pair[0].0, pair[1].0]).collect()
}

fn is_our_askpass((name, value): &(String, String)) -> bool {
    name == "askpass" && names_askpass(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "\thelper = \n\thelper = /usr/local/bin/git-credential-molecule\n";

    fn remaining(text: &str) -> (String, Vec<String>) {
        let Remainder { text, removed } = remove_ours(text.as_bytes(), |_| true);
        (String::from_utf8(text).unwrap(), removed)
    }

    #[test]
    fn our_lines_go_and_their_header_if_nothing_is_left_below_it() {
        let header = "[credential \"https://github.com\"]\n";
        for (before, after) in [
            ("# c\n", "[user]\n\tname = x\n"),
            ("\n\n", "\n[user]\n"),
            (header, "\tusername = me\n"),
            (header, "# mine\n"),
            ("[Credential \"https://github.com\"]\n\tusername = me ; x\n", "\thelper = store\n"),
            ("[core] bare = true\n", ""),
        ] {
            let is_inside = before.to_ascii_lowercase().ends_with("me ; x\n") || before == header;
            let text = format!("{before}{}{OURS}{after}", if is_inside { "" } else { header });
            let (rest, removed) = remaining(&text);
            assert_eq!((rest, removed.len()), (format!("{before}{after}"), 1), "{text}");
        }
    }

    #[test]
    fn what_setup_git_did_not_write_stays() {
        for text in [
            "[credential]\n\thelper = \n\thelper = store\n",
            "[credential \"https://a.example\"]\n\thelper = molecule\n",
            "[credential \"https://a.example\"]\n\thelper = \n\thelper = molecule ; mine\n",
            "[credential \"https://a.example\"]\n\thelper = \n\thelper = \"molecule\n",
            "[core]\n\taskPass = /usr/bin/other\n\thelper = \n",
            "[user]\n\tname = \u{fffd}\n[",
        ] {
            assert_eq!(remaining(text), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn paths_that_git_escaped_and_the_askpass_are_known() {
        let text = "[credential \"https://a.example\"]\n\thelper = \n\thelper = \"/opt/a\\\\ b\\\\;/git-credential-molecule\"\n\
                    [core]\n\taskPass = /opt/a b/molecule-askpass\n\tbare = false\n";
        let (rest, removed) = remaining(text);
        assert_eq!(rest, "[core]\n\tbare = false\n");
        assert_eq!(removed, ["credential.https://a.example.helper", "core.askPass"]);
    }
}
