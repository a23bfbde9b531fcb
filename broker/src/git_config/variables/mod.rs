//! git's settings in environment variables, read and written as git's own
//! config.c does.
//!
//! git reads two forms, both after every file: first the counted variables
//! (`GIT_CONFIG_COUNT`, `GIT_CONFIG_KEY_0`, …; git-config(1)), then
//! `GIT_CONFIG_PARAMETERS`, in which `git -c` hands its settings to the gits
//! that it starts: a quoted word `'key=value'` for each, and since git 2.31 a
//! pair `'key'='value'`, which can hold any key.
//!
//! Ours are written in the second form. Counted variables depend on each
//! other: where a launcher drops all variables with KEY in their name and
//! leaves the count, every git dies of `missing config key GIT_CONFIG_KEY_0`.
//! And where an agent appends an empty `credential.helper` to the counted
//! ones, as Gemini CLI does, it empties what was set before it. One variable
//! is there or isn't, and is read last. git keeps it for submodules
//! (`prepare_submodule_repo_env`) and appends to it for `git -c`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::names_helper;

pub const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";
pub const COUNT: &str = "GIT_CONFIG_COUNT";

/// The longest `GIT_CONFIG_PARAMETERS` that is written. The kernel takes
/// 128 KiB for one variable (`MAX_ARG_STRLEN`, execve(2)), and `git -c`
/// appends to it.
pub const LONGEST: usize = 96 * 1024;

/// One setting of git's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSetting {
    /// With section and name in lower case, as git prints it.
    pub key: String,
    /// `None` where only the key was given, which git takes for true.
    pub value: Option<String>,
}

impl GitSetting {
    #[must_use]
    pub fn new(key: &str, value: &str) -> Self {
        Self { key: canonical(key), value: Some(value.to_owned()) }
    }

    fn names_helper(&self) -> bool {
        self.value.as_deref().is_some_and(names_helper)
    }

    fn is_empty(&self) -> bool {
        self.value.as_deref() == Some("")
    }
}

/// A fault in the variables of which every git dies.
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
            Self::Count => write!(f, "{COUNT} isn't a number that git takes"),
            Self::MissingKey(at) => write!(f, "{COUNT} counts GIT_CONFIG_KEY_{at}, which isn't set"),
            Self::MissingValue(at) => write!(f, "{COUNT} counts GIT_CONFIG_VALUE_{at}, which isn't set"),
            Self::Parameters => write!(f, "{PARAMETERS} isn't quoted as git quotes it"),
        }
    }
}

/// All settings of the environment's variables in git's order of reading.
/// `variable` also returns values that are empty.
///
/// # Errors
/// git can't read them.
pub fn command_scope(variable: impl Fn(&str) -> Option<OsString>) -> Result<Vec<GitSetting>, BrokenVariables> {
    let mut settings = counted(&variable)?;
    settings.extend(parameters(variable(PARAMETERS).unwrap_or_default().as_bytes())?);
    Ok(settings)
}

/// The settings of the counted variables.
///
/// # Errors
/// git can't read them.
pub fn counted(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Vec<GitSetting>, BrokenVariables> {
    let Some(count) = variable(COUNT) else { return Ok(Vec::new()) };
    let count = number(&count).ok_or(BrokenVariables::Count)?;
    let mut settings = Vec::new();
    for at in 0..count {
        let key = variable(&format!("GIT_CONFIG_KEY_{at}")).ok_or(BrokenVariables::MissingKey(at))?;
        let value = variable(&format!("GIT_CONFIG_VALUE_{at}")).ok_or(BrokenVariables::MissingValue(at))?;
        settings.push(GitSetting::new(&key.to_string_lossy(), &value.to_string_lossy()));
    }
    Ok(settings)
}

/// As strtoul(3) reads it in git; nothing at all is zero.
fn number(text: &OsStr) -> Option<usize> {
    let text = text.to_str()?.trim_start();
    if text.is_empty() { Some(0) } else { text.parse().ok().filter(|count| i32::try_from(*count).is_ok()) }
}

/// The settings of `GIT_CONFIG_PARAMETERS`.
///
/// # Errors
/// git can't read them.
pub fn parameters(text: &[u8]) -> Result<Vec<GitSetting>, BrokenVariables> {
    Ok(scan(text)?.into_iter().map(|(_, setting)| setting).collect())
}

/// Each setting and the bytes that it takes in the text.
fn scan(text: &[u8]) -> Result<Vec<(Range<usize>, GitSetting)>, BrokenVariables> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (start, (first, next)) = (at, unquoted(text, at).ok_or(BrokenVariables::Parameters)?);
        at = next;
        let setting = if text.get(at) == Some(&b'=') {
            at += 1;
            let value = if ends_word(text, at) {
                None
            } else {
                let (value, next) = unquoted(text, at).ok_or(BrokenVariables::Parameters)?;
                at = next;
                Some(value)
            };
            GitSetting { key: canonical(&first), value }
        } else {
            let (key, value) = first.split_once('=').map_or((&*first, None), |(key, value)| (key, Some(value)));
            GitSetting { key: canonical(key.trim()), value: value.map(str::to_owned) }
        };
        if !ends_word(text, at) {
            return Err(BrokenVariables::Parameters);
        }
        found.push((start..at, setting));
        at += text[at..].iter().take_while(|byte| is_space(**byte)).count();
    }
    Ok(found)
}

/// The quoted text that begins here, and where it ends: single quotes, with
/// `'\''` and `'\!'` for what can't stand in them (git's quote.c).
fn unquoted(text: &[u8], start: usize) -> Option<(String, usize)> {
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

/// As git's own `isspace` has it, which knows no more than these.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Settings as `GIT_CONFIG_PARAMETERS` holds them, in one line unless they
/// hold line feeds themselves. In the older form, which every git reads: of
/// the newer one git 2.30 and older die (`bogus format`; 2.30.2 does, and
/// 2.39, 2.47 and 2.55 read both). It can't tell where a key with `=` ends.
#[must_use]
pub fn quoted(settings: &[GitSetting]) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let word = |GitSetting { key, value }: &GitSetting| match value {
        Some(value) if key.contains('=') => format!("{}={}", quote(key), quote(value)),
        Some(value) => quote(&format!("{key}={value}")),
        None => format!("{}=", quote(key)),
    };
    settings.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The variables that make git read `ours` last, in an environment that
/// `variable` returns the values of. What others set there stays; our own
/// former settings, in either form, are replaced.
#[must_use]
pub fn appended(ours: &[GitSetting], variable: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let mut changed = Vec::new();
    let Some(helper) = ours.last().and_then(|last| last.value.clone()) else { return changed };
    let is_set = |key: &str| ours.iter().any(|our| our.key == key);
    let mut added = Vec::new();
    if let Ok(mut counted) = counted(&variable) {
        // An older broker counted its own behind those that were there.
        let former = former(&counted, |_| true);
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
    let mut text = without_former(variable(PARAMETERS).unwrap_or_default().as_bytes(), &added);
    if !text.is_empty() {
        text.push(b' ');
    }
    text.extend(quoted(&added).into_bytes());
    changed.push((PARAMETERS.to_owned(), OsString::from_vec(text)));
    changed
}

/// The variable that keeps git from asking at a terminal where no person sits.
#[must_use]
pub fn no_prompt() -> (String, String) {
    ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned())
}

/// The text of others, byte for byte.
fn without_former(text: &[u8], added: &[GitSetting]) -> Vec<u8> {
    let Ok(found) = scan(text) else { return text.to_vec() };
    let (spans, settings): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let former = former(&settings, |key| added.iter().any(|setting| setting.key == key));
    if !former.contains(&true) {
        return text.to_vec();
    }
    let kept = spans.into_iter().zip(former).filter(|(_, former)| !former);
    kept.map(|(span, _)| &text[span]).collect::<Vec<_>>().join(&b' ')
}

/// Tells for each setting if it is one that we wrote, under a key that
/// `is_key` takes: our helper, or the empty one directly before it.
fn former(settings: &[GitSetting], is_key: impl Fn(&str) -> bool) -> Vec<bool> {
    let is_helper = |setting: &GitSetting| is_key(&setting.key) && setting.names_helper();
    let mut former: Vec<bool> = settings.iter().map(is_helper).collect();
    for (at, pair) in settings.windows(2).enumerate() {
        former[at] |= pair[0].is_empty() && pair[0].key == pair[1].key && is_helper(&pair[1]);
    }
    former
}

/// Section and name in lower case; what stands between them, the URL, as
/// written.
fn canonical(key: &str) -> String {
    let Some((section, rest)) = key.split_once('.') else { return key.to_ascii_lowercase() };
    let (between, name) = rest.rsplit_once('.').map_or(("", rest), |(between, name)| (between, name));
    let dot = if rest.len() == name.len() { "" } else { "." };
    format!("{}.{between}{dot}{}", section.to_ascii_lowercase(), name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
