//! Reads a TOML text table by table and collects all problems instead of stopping at the first one.
//! It works on the parser's own tree for that reason: a derived `Deserialize` ends with its first
//! error.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::location::{ConfigLocation, Problem};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub value: T,
    pub place: ConfigLocation,
}

/// One file's text, and the problems found so far.
pub(super) struct TomlDocument<'a> {
    file: Arc<Path>,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

/// One table of a document. Known keys are taken out one by one; the keys that are left are
/// unknown.
pub(super) struct TomlTable<'d, 'a> {
    doc: &'d TomlDocument<'a>,
    /// The table's dotted name; empty for the file itself.
    pub name: String,
    place: ConfigLocation,
    keys: &'static [&'static str],
    entries: DeTable<'a>,
}

/// A parsed value, or the description of the problem with it.
pub(super) type Parsed<T> = Result<T, String>;

impl<'a> TomlDocument<'a> {
    pub(super) fn new(file: &Path, text: &'a str) -> Self {
        Self { file: file.into(), text, problems: RefCell::default() }
    }

    /// Returns the file's root table, as far as it could be parsed.
    pub(super) fn root<'d>(&'d self, keys: &'static [&'static str]) -> TomlTable<'d, 'a> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let place = self.locate(error.span().unwrap_or(0..0));
            self.add_problem(place, "", error.message().trim().replace('\n', ", "));
        }
        let place = self.locate(0..0);
        TomlTable { doc: self, name: String::new(), place, keys, entries: root.into_inner() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn add_problem(&self, place: ConfigLocation, key: &str, what: String) {
        self.problems.borrow_mut().push(Problem { place, key: key.to_owned(), what });
    }

    /// Returns the location of a span, with lines and characters counted from 1, as editors do.
    fn locate(&self, span: Range<usize>) -> ConfigLocation {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ConfigLocation::File {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn at<T>(&self, value: T, span: Range<usize>) -> Placed<T> {
        Placed { value, place: self.locate(span) }
    }
}

impl<'d, 'a> TomlTable<'d, 'a> {
    /// Takes a key's value. Returns `None` if the key is missing or its value is wrong, which is
    /// reported.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'a>) -> Parsed<T>,
    ) -> Option<Placed<T>> {
        let value = self.remove(key)?;
        match read(value.get_ref()) {
            Ok(read) => Some(self.doc.at(read, value.span())),
            Err(what) => {
                self.doc.add_problem(self.doc.locate(value.span()), &self.dotted(key), what);
                None
            }
        }
    }

    /// Takes an array, each element with its own location.
    pub(super) fn take_list(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue<'a>) -> Parsed<String>,
    ) -> Option<Placed<Vec<Placed<String>>>> {
        let value = self.remove(key)?;
        let Some(array) = value.get_ref().as_array() else {
            let what = wrong_type(value.get_ref(), expected);
            self.doc.add_problem(self.doc.locate(value.span()), &self.dotted(key), what);
            return None;
        };
        let mut list = Vec::new();
        for element in array.iter() {
            match read(element.get_ref()) {
                Ok(text) => list.push(self.doc.at(text, element.span())),
                Err(what) => self.doc.add_problem(self.doc.locate(element.span()), &self.dotted(key), what),
            }
        }
        Some(self.doc.at(list, value.span()))
    }

    /// Takes a table. Returns `None` if the key is missing or isn't a table, which is reported.
    pub(super) fn take_table(&mut self, key: &'static str, keys: &'static [&'static str]) -> Option<TomlTable<'d, 'a>> {
        let value = self.remove(key)?;
        self.open_table(key, value, keys, "a table")
    }

    /// Takes the tables of `[[key]]`.
    pub(super) fn take_tables(&mut self, key: &'static str, keys: &'static [&'static str]) -> Vec<TomlTable<'d, 'a>> {
        let Some(value) = self.remove(key) else { return Vec::new() };
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(array) => {
                let tables = array.into_iter().filter_map(|v| self.open_table(key, v, keys, "a table"));
                tables.collect()
            }
            other => {
                let what = wrong_type(&other, &format!("one or more [[{key}]]"));
                self.doc.add_problem(self.doc.locate(span), key, what);
                Vec::new()
            }
        }
    }

    /// True if the key exists and its value is a table.
    pub(super) fn holds_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|v| v.get_ref().is_table())
    }

    pub(super) fn holds_string(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|v| v.get_ref().is_str())
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn place(&self) -> ConfigLocation {
        self.place.clone()
    }

    pub(super) fn reject(&self, place: ConfigLocation, key: &str, what: impl Into<String>) {
        self.doc.add_problem(place, &self.dotted(key), what.into());
    }

    /// Reports every key that hasn't been taken.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let known = self.keys.join(", ");
            let nearest = nearest(key.get_ref(), self.keys);
            let advice = nearest.map_or(format!("expected one of: {known}"), |k| format!("did you mean {k}?"));
            let what = format!("unknown key, {advice}");
            self.doc.add_problem(self.doc.locate(key.span()), &self.dotted(key.get_ref()), what);
        }
    }

    fn remove(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        debug_assert!(self.keys.contains(&key), "{key} is missing in the list of keys");
        self.entries.remove(key)
    }

    fn open_table(
        &self,
        key: &str,
        value: Spanned<DeValue<'a>>,
        keys: &'static [&'static str],
        expected: &str,
    ) -> Option<TomlTable<'d, 'a>> {
        let place = self.doc.locate(value.span());
        match value.into_inner() {
            DeValue::Table(entries) => Some(TomlTable { doc: self.doc, name: self.dotted(key), place, keys, entries }),
            other => {
                let what = wrong_type(&other, expected);
                self.doc.add_problem(place, &self.dotted(key), what);
                None
            }
        }
    }

    fn dotted(&self, key: &str) -> String {
        let dot = if self.name.is_empty() || key.is_empty() { "" } else { "." };
        format!("{}{dot}{key}", self.name)
    }
}

/// Returns the known word that a misspelt word most likely stands for.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = |k: &&str| strsim::damerau_levenshtein(word, k);
    known.iter().copied().min_by_key(near).filter(|k| near(k) <= (k.len() / 3).clamp(1, 3))
}

pub(super) fn string(value: &DeValue<'_>) -> Parsed<String> {
    value.as_str().map_or_else(|| Err(wrong_type(value, "a string")), |s| Ok(s.to_owned()))
}

pub(super) fn boolean(value: &DeValue<'_>) -> Parsed<bool> {
    value.as_bool().map_or_else(|| Err(wrong_type(value, "true or false")), Ok)
}

/// Parses a user or group: a name, or a number with or without quotes.
pub(super) fn name_or_number(value: &DeValue<'_>) -> Parsed<String> {
    match value {
        DeValue::Integer(n) if n.radix() == 10 => Ok(n.as_str().to_owned()),
        DeValue::String(s) => Ok(s.clone().into_owned()),
        _ => Err(wrong_type(value, "a name or a number")),
    }
}

/// Parses a file mode, which must be octal.
pub(super) fn mode(value: &DeValue<'_>) -> Parsed<u32> {
    const EXPECTED: &str = "an octal mode such as \"0660\"";
    let digits = match value {
        DeValue::String(text) => &**text,
        DeValue::Integer(number) if number.radix() == 8 => number.as_str(),
        DeValue::Integer(_) => return Err(format!("the number isn't octal, expected {EXPECTED}")),
        _ => return Err(wrong_type(value, EXPECTED)),
    };
    let mode = u32::from_str_radix(digits, 8).ok().filter(|m| *m <= 0o777 && !digits.starts_with('+'));
    mode.ok_or_else(|| format!("not a mode, expected {EXPECTED}"))
}

pub(super) fn duration(value: &DeValue<'_>) -> Parsed<Duration> {
    const EXPECTED: &str = "a duration with its unit, such as \"45m\" or \"2m 30s\"";
    let Some(text) = value.as_str() else { return Err(wrong_type(value, EXPECTED)) };
    humantime::parse_duration(text).map_err(|_| format!("not a duration, expected {EXPECTED}"))
}

pub(super) fn fraction(value: &DeValue<'_>) -> Parsed<f64> {
    let digits = match value {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return Err(wrong_type(value, "a number such as 0.25")),
    };
    digits.parse().map_err(|_| wrong_type(value, "a number such as 0.25"))
}

fn wrong_type(value: &DeValue<'_>, expected: &str) -> String {
    format!("wrong type ({}), expected {expected}", value.type_str())
}
