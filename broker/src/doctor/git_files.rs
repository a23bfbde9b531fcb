//! git's configuration as git reads it, with the place of every entry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::small;
use crate::text::{shell_word, visible};

/// One entry, in git's order of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `file:PATH`, or `command line:` for variables.
    pub origin: String,
    pub key: String,
    pub value: String,
}

/// # Errors
/// git can't be run, or can't read its own configuration.
pub fn entries() -> Result<Vec<Entry>, String> {
    let mut command = Command::new("git");
    command.args(["config", "--list", "--show-origin", "-z", "--includes"]).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("git can't be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("git can't read its configuration: {}", crate::text::outside(said.trim())));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> Vec<Entry> {
    let mut parts = text.split('\0');
    let mut entries = Vec::new();
    while let (Some(origin), Some(entry)) = (parts.next(), parts.next()) {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
        entries.push(Entry { origin: origin.into(), key: key.into(), value: value.into() });
    }
    entries
}

impl Entry {
    /// `PATH:LINE`, as an editor takes it, as far as it can be found out.
    #[must_use]
    pub fn place(&self) -> String {
        let Some(path) = self.origin.strip_prefix("file:").map(PathBuf::from) else {
            return "GIT_CONFIG_* variables or the command line".into();
        };
        match small::text(&path).ok().and_then(|text| line(&text, &self.key, &self.value)) {
            Some(line) => format!("{}:{line}", shown(&path)),
            None => shown(&path),
        }
    }

    /// The command that takes the entry out again.
    #[must_use]
    pub fn removal(&self) -> String {
        match self.origin.strip_prefix("file:") {
            Some(path) => {
                let file = shell_word(&visible(&shown(Path::new(path))));
                format!("git config --file {file} --unset-all {}", shell_word(&printable(&self.key)))
            }
            None => "unset the GIT_CONFIG_* variables that set it".into(),
        }
    }
}

/// git names files of the repository relative to where it stands.
fn shown(path: &Path) -> String {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// A key without what may be a credential in its URL.
#[must_use]
pub fn printable(key: &str) -> String {
    crate::text::outside(key)
}

/// The line on which a file sets a key to a value, from 1. It reads what git
/// itself writes; anything fancier is only not found.
fn line(text: &str, key: &str, value: &str) -> Option<usize> {
    let (section, name) = key.rsplit_once('.')?;
    let mut here = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            here =
                header.split_once(']').map_or("", |(h, _)| h).replacen(" \"", ".", 1).trim_end_matches('"').to_owned();
            continue;
        }
        let (found, set) = line.split_once('=').map_or((line, ""), |(k, v)| (k.trim(), v.trim()));
        let same = here.eq_ignore_ascii_case(section) && found.eq_ignore_ascii_case(name);
        if same && set.trim_matches('"') == value {
            return Some(number + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_an_entry_is_found_in_its_own_section() {
        let text = "[user]\n\thelper = store\n[credential]\n\tuseHttpPath = true\n[credential \"https://github.com\"]\n\thelper =\n\thelper = \"store\"\n";
        assert_eq!(line(text, "credential.https://github.com.helper", "store"), Some(7));
        assert_eq!(line(text, "credential.https://github.com.helper", ""), Some(6));
        assert_eq!(line(text, "credential.helper", "store"), None);
    }

    #[test]
    fn entries_keep_gits_order_and_their_origin() {
        let entries = parse("file:/etc/gitconfig\0credential.helper\nstore\0command line:\0a.b\nc\nd\0");
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].key.as_str(), entries[0].value.as_str()), ("credential.helper", "store"));
        assert_eq!(entries[1].value, "c\nd");
    }
}
