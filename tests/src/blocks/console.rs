//! A `console` block. Lines that begin with `$ ` are commands; the lines after
//! each command are its expected output. `…` in a line matches any text, and a
//! line that is only `…` matches any lines.

use std::fmt::Write as _;

const MARK: &str = "-- the next command --";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub command: String,
    pub expected: Vec<String>,
}

pub fn parse_exchanges(text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Exchange { command: String::from(command), expected: Vec::new() }),
            (None, Some(exchange)) => exchange.expected.push(String::from(line)),
            (None, None) => panic!("a console block begins with a command, not with: {line}"),
        }
    }
    all
}

impl Exchange {
    fn compare(&self, printed: &str) -> Result<(), String> {
        let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        let expected: Vec<&str> = self.expected.iter().map(String::as_str).collect();
        if lines_match(&expected, &printed) {
            return Ok(());
        }
        let mut said = format!("$ {}\nprints\n", self.command);
        for line in printed {
            let _ = writeln!(said, "    {line}");
        }
        let _ = writeln!(said, "instead of\n    {}", expected.join("\n    "));
        Err(said)
    }
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match (expected, printed) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
        ([first, rest @ ..], [line, others @ ..]) => line_matches(first, line) && lines_match(rest, others),
        _ => false,
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let Some((before, after)) = expected.split_once('…') else { return expected == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| line_matches(after, &rest[at..]))
}

/// Returns a script that runs all commands in one shell, as a person would, and
/// prints a mark after the output of each.
pub fn script_for(exchanges: &[Exchange]) -> String {
    exchanges.iter().fold(String::new(), |mut script, exchange| {
        let _ = writeln!(script, "{{ {}\n}} 2>&1\nprintf '\\n{MARK}\\n'", exchange.command);
        script
    })
}

/// Compares the output of that script with the expected output.
///
/// # Errors
/// The first command whose output differs.
pub fn compare(exchanges: &[Exchange], printed: &str) -> Result<(), String> {
    let mut printed = printed.split(MARK);
    exchanges
        .iter()
        .try_for_each(|exchange| exchange.compare(printed.next().unwrap_or_default().trim_start_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(expected: &str, printed: &str) -> bool {
        parse_exchanges(&format!("$ x\n{expected}"))[0].compare(printed).is_ok()
    }

    #[test]
    fn dots_match_any_text_or_lines_and_nothing_else_differs() {
        assert!(says("up …: healthy\n", "up 4s: healthy\n"));
        assert!(says("a\n…\nd\n", "a\nb\nc\nd\n"));
        assert!(says("a\n…\n", "a\n"));
        assert!(!says("up …: healthy\n", "up 4s: ill\n"));
        assert!(!says("a\n…\nd\n", "a\nb\nc\n"));
        assert!(!says("a\n", "a\nb\n"));
        assert!(!says("a\nb\n", "a\n"));
    }

    #[test]
    fn commands_and_expected_output_are_told_apart() {
        let both = parse_exchanges("$ one\n1\n1\n$ two\n");
        assert_eq!(both[0], Exchange { command: "one".into(), expected: vec!["1".into(), "1".into()] });
        assert_eq!(both[1].command, "two");
        assert!(both[1].expected.is_empty());
    }
}
