//! git's settings in environment variables, read and written as git's own config.c does.
//!
//! git reads two forms, both after every file. The first is the counted variables
//! (`GIT_CONFIG_COUNT`, `GIT_CONFIG_KEY_0`, …; git-config(1)). The second is
//! `GIT_CONFIG_PARAMETERS`, in which `git -c` passes its settings to the gits that it starts: a
//! quoted word `'key=value'` for each, and since git 2.31 a pair `'key'='value'`, which can hold
//! any key.
//!
//! Our settings have the second form, for two reasons. Counted variables depend on each other: if
//! a launcher drops all variables with KEY in their name and leaves the count, every git ends with
//! `missing config key GIT_CONFIG_KEY_0`. And an agent may append an empty `credential.helper` to
//! the counted variables, as Gemini CLI does, which drops all helpers before it. One variable is
//! either there or not, and is read last. git keeps it for submodules
//! (`prepare_submodule_repo_env`) and appends to it for `git -c`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::names_helper;

pub const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";
pub const COUNT: &str = "GIT_CONFIG_COUNT";

/// Longest `GIT_CONFIG_PARAMETERS` that is written, in bytes. The kernel's limit for one variable
/// is 128 KiB (`MAX_ARG_STRLEN`, execve(2)), and `git -c` appends to it.
pub const LONGEST: usize = 96 * 1024;

/// One setting of git's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSetting {
    /// The key with section and name in lower case, as git prints it.
    pub key: String,
    /// `None` if only the key is set, which means true to git.
    pub value: Option<String>,
}

impl GitSetting {
    #[must_use]
    pub fn new(key: &str, value: &str) -> Self {
        Self { key: canonical_key(key), value: Some(value.to_owned()) }
    }

    fn names_helper(&self) -> bool {
        self.value.as_deref().is_some_and(names_helper)
    }

    fn is_empty(&self) -> bool {
        self.value.as_deref() == Some("")
    }
}

/// A fault in the variables with which every git command fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokenVariables {
    Count,
    MissingKey(usize),
    MissingValue(usize),
    Parameters,
}

impl fmt::Display for BrokenVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "{COUNT} isn't a number that git can read"),
            Self::MissingKey(at) => write!(f, "{COUNT} counts GIT_CONFIG_KEY_{at}, which isn't set"),
            Self::MissingValue(at) => write!(f, "{COUNT} counts GIT_CONFIG_VALUE_{at}, which isn't set"),
            Self::Parameters => write!(f, "{PARAMETERS} isn't quoted as git quotes it"),
        }
    }
}

/// Returns all settings of the environment's variables in git's order of reading. `variable` must
/// return empty values too.
///
/// # Errors
/// Fails if git can't read the variables.
pub fn command_scope(variable: impl Fn(&str) -> Option<OsString>) -> Result<Vec<GitSetting>, BrokenVariables> {
    let mut settings = parse_counted(&variable)?;
    settings.extend(parse_parameters(variable(PARAMETERS).unwrap_or_default().as_bytes())?);
    Ok(settings)
}

/// Returns the settings of the counted variables.
///
/// # Errors
/// Fails if git can't read the variables.
pub fn parse_counted(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Vec<GitSetting>, BrokenVariables> {
    let Some(count) = variable(COUNT) else { return Ok(Vec::new()) };
    let count = parse_count(&count).ok_or(BrokenVariables::Count)?;
    let mut settings = Vec::new();
    for at in 0..count {
        let key = variable(&format!("GIT_CONFIG_KEY_{at}")).ok_or(BrokenVariables::MissingKey(at))?;
        let value = variable(&format!("GIT_CONFIG_VALUE_{at}")).ok_or(BrokenVariables::MissingValue(at))?;
        settings.push(GitSetting::new(&key.to_string_lossy(), &value.to_string_lossy()));
    }
    Ok(settings)
}

/// Parses the count as git does with strtoul(3). An empty text is zero.
fn parse_count(text: &OsStr) -> Option<usize> {
    let text = text.to_str()?.trim_start();
    if text.is_empty() { Some(0) } else { text.parse().ok().filter(|count| i32::try_from(*count).is_ok()) }
}

/// Returns the settings in the text of `GIT_CONFIG_PARAMETERS`.
///
/// # Errors
/// Fails if git can't read the text.
pub fn parse_parameters(text: &[u8]) -> Result<Vec<GitSetting>, BrokenVariables> {
    Ok(scan(text)?.into_iter().map(|(_, setting)| setting).collect())
}

/// Returns each setting and its range of bytes in the text.
fn scan(text: &[u8]) -> Result<Vec<(Range<usize>, GitSetting)>, BrokenVariables> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (start, (first, next)) = (at, unquote(text, at).ok_or(BrokenVariables::Parameters)?);
        at = next;
        let setting = if text.get(at) == Some(&b'=') {
            at += 1;
            let value = if ends_word(text, at) {
                None
            } else {
                let (value, next) = unquote(text, at).ok_or(BrokenVariables::Parameters)?;
                at = next;
                Some(value)
            };
            GitSetting { key: canonical_key(&first), value }
        } else {
            let (key, value) = first.split_once('=').map_or((&*first, None), |(key, value)| (key, Some(value)));
            GitSetting { key: canonical_key(key.trim()), value: value.map(str::to_owned) }
        };
        if !ends_word(text, at) {
            return Err(BrokenVariables::Parameters);
        }
        found.push((start..at, setting));
        at += text[at..].iter().take_while(|byte| is_space(**byte)).count();
    }
    Ok(found)
}

/// Decodes the quoted text that begins at `start`, and returns it with its end. The form is single
/// quotes, with `'\''` and `'\!'` for characters that can't be inside them (git's quote.c).
fn unquote(text: &[u8], start: usize) -> Option<(String, usize)> {
    let mut out = Vec::new();
    let mut at = start;
    if text.get(at) != Some(&b'\'') {
        return None;
    }
    loop {
        at += 1;
        match *text.get(at)? {
            b'\'' => match text.get(at + 1..at + 4) {
                Some(&[b'\\', escaped @ (b'\'' | b'!'), b'\'']) => {
                    out.push(escaped);
                    at += 3;
                }
                _ => return Some((String::from_utf8_lossy(&out).into_owned(), at + 1)),
            },
            byte => out.push(byte),
        }
    }
}

fn ends_word(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| is_space(*byte))
}

/// True for white space as git's own `isspace` defines it: only these four bytes.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Encodes settings for `GIT_CONFIG_PARAMETERS`, in one line unless a setting contains a line feed.
///
/// It uses the older form, which every git reads: git 2.30 and older fail on the newer form
/// (`bogus format`; tested with 2.30.2, while 2.39, 2.47 and 2.55 read both). In the older form, a
/// key with `=` has no visible end, so such a setting gets the newer form.
#[must_use]
pub fn quote_settings(settings: &[GitSetting]) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let word = |GitSetting { key, value }: &GitSetting| match value {
        Some(value) if key.contains('=') => format!("{}={}", quote(key), quote(value)),
        Some(value) => quote(&format!("{key}={value}")),
        None => format!("{}=", quote(key)),
    };
    settings.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Returns the variables to change so that git reads `ours` last. `variable` returns the values of
/// the present environment. Settings of other programs stay; our own former settings are replaced,
/// in either form.
#[must_use]
pub fn append_settings(ours: &[GitSetting], variable: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let mut changed = Vec::new();
    let Some(helper) = ours.last().and_then(|last| last.value.clone()) else { return changed };
    let is_set = |key: &str| ours.iter().any(|our| our.key == key);
    let mut added = Vec::new();
    if let Ok(mut counted) = parse_counted(&variable) {
        // An older broker appended its own to the counted variables.
        let former = find_former(&counted, |_| true);
        let kept = former.iter().rposition(|former| !former).map_or(0, |last| last + 1);
        if kept < counted.len() {
            changed.push((COUNT.to_owned(), kept.to_string().into()));
            let moved = counted.drain(kept..).filter(|setting| !is_set(&setting.key));
            added.extend(moved.map(|setting| match setting.names_helper() {
                true => GitSetting { value: Some(helper.clone()), ..setting },
                false => setting,
            }));
        }
    }
    added.extend_from_slice(ours);
    let mut text = remove_former(variable(PARAMETERS).unwrap_or_default().as_bytes(), &added);
    if !text.is_empty() {
        text.push(b' ');
    }
    text.extend(quote_settings(&added).into_bytes());
    changed.push((PARAMETERS.to_owned(), OsString::from_vec(text)));
    changed
}

/// Returns the variable that keeps git from asking for a login at a terminal without a person.
#[must_use]
pub fn no_prompt() -> (String, String) {
    ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned())
}

/// Removes our former settings from the text, and keeps those of other programs byte for byte.
fn remove_former(text: &[u8], added: &[GitSetting]) -> Vec<u8> {
    let Ok(found) = scan(text) else { return text.to_vec() };
    let (spans, settings): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let former = find_former(&settings, |key| added.iter().any(|setting| setting.key == key));
    if !former.contains(&true) {
        return text.to_vec();
    }
    let kept = spans.into_iter().zip(former).filter(|(_, former)| !former);
    kept.map(|(span, _)| &text[span]).collect::<Vec<_>>().join(&b' ')
}

/// Tells for each setting whether an earlier run wrote it: our helper, or the empty helper directly
/// before it, for a key of which `is_key` returns true.
fn find_former(settings: &[GitSetting], is_key: impl Fn(&str) -> bool) -> Vec<bool> {
    let is_helper = |setting: &GitSetting| is_key(&setting.key) && setting.names_helper();
    let mut former: Vec<bool> = settings.iter().map(is_helper).collect();
    for (at, pair) in settings.windows(2).enumerate() {
        former[at] |= pair[0].is_empty() && pair[0].key == pair[1].key && is_helper(&pair[1]);
    }
    former
}

/// Returns a key with section and name in lower case. The part between them, the URL, stays as
/// written.
fn canonical_key(key: &str) -> String {
    let Some((section, rest)) = key.split_once('.') else { return key.to_ascii_lowercase() };
    let (between, name) = rest.rsplit_once('.').map_or(("", rest), |(between, name)| (between, name));
    let dot = if rest.len() == name.len() { "" } else { "." };
    format!("{}.{between}{dot}{}", section.to_ascii_lowercase(), name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
