//! git's configuration as git reads it, with the location of every entry.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::Scene;
use super::super::finding::{Finding, Remedy};
use super::fresh_variables;
use crate::git_config::variables::{COUNT, PARAMETERS, command_scope};
use crate::system::bounded_file;
use crate::system::text::{shell_word, untrusted, visible};

/// One entry of git's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GitEntry {
    pub(super) scope: GitScope,
    /// The origin as git prints it: `file:PATH`, or `command line:` for variables.
    pub(super) origin: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// Scope of an entry. git reads the scopes in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GitScope {
    System,
    Global,
    /// The repository's or the worktree's own.
    Local,
    /// Variables, and `git -c`.
    Command,
    /// A file in the repository that git or git-lfs reads for one purpose.
    Tracked,
}

/// The configuration that git reads here.
#[derive(Default)]
pub(in super::super) struct GitFiles {
    /// All entries, in git's order of reading.
    pub(super) entries: Vec<GitEntry>,
    /// The finding that git can't read some or all of its files.
    pub(super) broken: Option<Finding>,
}

pub(in super::super) fn read(scene: &Scene) -> GitFiles {
    let said = match list_entries(&[]) {
        Ok(entries) => return GitFiles { entries, broken: None },
        Err(said) => said,
    };
    let why = command_scope(|name| scene.env.raw(name).map(ToOwned::to_owned)).err();
    let why = why.map_or_else(|| said.clone(), |broken| broken.to_string());
    for variables in [&[COUNT][..], &[PARAMETERS], &[COUNT, PARAMETERS]] {
        if let Ok(entries) = list_entries(variables) {
            let what = format!(
                "every git command fails: {why}; most likely a program removed variables whose names contain KEY, TOKEN or SECRET"
            );
            let remedy = Remedy::command(format!("unset {}", variables.join(" ")));
            return GitFiles { entries, broken: Some(Finding::fail("git-variables", what, remedy)) };
        }
    }
    let broken = Finding::fail("git", said, "install git, or correct the file that it names");
    GitFiles { entries: Vec::new(), broken: Some(broken) }
}

/// Returns the entries that git reads without these variables.
fn list_entries(without: &[&str]) -> Result<Vec<GitEntry>, String> {
    let mut command = Command::new("git");
    command.args(["config", "--list", "--show-scope", "--show-origin", "-z", "--includes"]).stdin(Stdio::null());
    for name in without {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| format!("git can't be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("git can't read its configuration: {}", untrusted(said.trim())));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Returns the entries of the repository's own `.gitmodules` and `.lfsconfig`. These name the URLs
/// of submodules and large files until the configuration names them.
pub(super) fn tracked() -> Vec<GitEntry> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(top) = git(&["rev-parse", "--show-toplevel"]) else { return Vec::new() };
    let top = Path::new(top.trim_end_matches('\n'));
    let mut entries = Vec::new();
    for name in [".gitmodules", ".lfsconfig"] {
        let file = top.join(name).display().to_string();
        let listed = git(&["config", "--file", &file, "--list", "--show-scope", "--show-origin", "-z"]);
        let found = listed.map(|text| parse(&text)).unwrap_or_default();
        entries.extend(found.into_iter().map(|entry| GitEntry { scope: GitScope::Tracked, ..entry }));
    }
    entries
}

fn parse(text: &str) -> Vec<GitEntry> {
    let mut parts = text.split('\0');
    let mut entries = Vec::new();
    while let (Some(scope), Some(origin), Some(entry)) = (parts.next(), parts.next(), parts.next()) {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
        let scope = match scope {
            "system" => GitScope::System,
            "global" => GitScope::Global,
            "command" => GitScope::Command,
            _ => GitScope::Local,
        };
        entries.push(GitEntry { scope, origin: origin.into(), key: key.into(), value: value.into() });
    }
    entries
}

impl GitEntry {
    /// Returns the file of this entry, or `None` for variables.
    pub(super) fn file(&self) -> Option<String> {
        self.origin.strip_prefix("file:").map(|path| absolute(Path::new(path)))
    }

    /// Returns the location as `PATH:LINE`, in the form that editors take, or as `PATH` if the line
    /// isn't found.
    pub(super) fn place(&self) -> String {
        let Some(file) = self.file() else {
            return "GIT_CONFIG_* variables or the command line".into();
        };
        match bounded_file::text(Path::new(&file)).ok().and_then(|text| find_line(&text, &self.key, &self.value)) {
            Some(line) => format!("{file}:{line}"),
            None => file,
        }
    }

    /// Returns a `git config` command that edits the file of this entry. Returns `None` for
    /// variables, and for a key that can't be shown unchanged.
    pub(super) fn edit_command(&self, action: &str, arguments: &[&str]) -> Option<String> {
        // The user name in every ssh URL isn't a secret.
        let shown = self.key.replace("://git@", "://");
        if printable(&shown) != shown {
            return None;
        }
        let words = [shell_word(&self.key)].into_iter().chain(arguments.iter().map(|word| quote_word(word)));
        let words: Vec<String> = words.collect();
        Some(format!("{} {action}{}", self.git_config()?, words.join(" ")))
    }

    /// Returns the beginning of a `git config` command for the file of this entry.
    pub(super) fn git_config(&self) -> Option<String> {
        Some(format!("git config --file {}", shell_word(&visible(&self.file()?))))
    }

    /// Returns the remedy that removes this entry.
    pub(super) fn removal(&self) -> Remedy {
        if self.file().is_none() {
            return fresh_variables();
        }
        match self.edit_command("--unset-all ", &[]) {
            Some(command) => Remedy::command(command),
            None => format!("remove {} from {}", printable(&self.key), self.place()).into(),
        }
    }
}

/// Quotes a word for a command line, even an empty word.
pub(super) fn quote_word(word: &str) -> String {
    if word.is_empty() { "''".to_owned() } else { shell_word(word) }
}

/// Escapes a text for git's regular expressions (regex(7), the extended form).
pub(super) fn escape_regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r".[](){}*+?^$|\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Returns the absolute path: git prints files of the repository relative to the current folder.
fn absolute(path: &Path) -> String {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns a key or a value with everything redacted that may be a credential.
pub(super) fn printable(key: &str) -> String {
    untrusted(key)
}

/// Returns the number of the line that sets the key to the value, counted from 1. It understands
/// the form that git itself writes, and finds no line in any other form.
fn find_line(text: &str, key: &str, value: &str) -> Option<usize> {
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
        assert_eq!(find_line(text, "credential.https://github.com.helper", "store"), Some(7));
        assert_eq!(find_line(text, "credential.https://github.com.helper", ""), Some(6));
        assert_eq!(find_line(text, "credential.helper", "store"), None);
    }

    #[test]
    fn entries_keep_gits_order_and_their_origin() {
        let entries =
            parse("system\0file:/etc/gitconfig\0credential.helper\nstore\0command\0command line:\0a.b\nc\nd\0");
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].key.as_str(), entries[0].value.as_str()), ("credential.helper", "store"));
        assert_eq!((entries[1].scope, entries[1].value.as_str()), (GitScope::Command, "c\nd"));
    }
}
