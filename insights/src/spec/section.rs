//! Typed reading of the tree: sections with known keys, and values of the types that settings have.
//!
//! Owns how a wrong type is reported. It never knows a setting's meaning or default, and never repeats a text in a
//! message: it may be a secret.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration::{format_duration, parse_duration};
use super::error::Mistakes;
use super::scalar::Scalar;
use super::suggest::closest;
use super::tree::{Content, Entry, Node, Style};

/// The path of a key within a section.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The path of an item of a list.
pub(super) fn join_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// A mapping whose keys are known.
pub(super) struct Section<'a> {
    path: String,
    entries: &'a [Entry],
    mistakes: &'a Mistakes,
}

/// A value that is present, with its path.
pub(super) struct Value<'a> {
    pub(super) path: String,
    node: &'a Node,
    mistakes: &'a Mistakes,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node, keys: &[&str], mistakes: &'a Mistakes) -> Self {
        let whole = Value { path: String::new(), node, mistakes };
        let empty = Self { path: String::new(), entries: &[], mistakes };
        if node.is_null() {
            return empty;
        }
        if let Content::Mapping(_) = node.content {
            return whole.section(keys).unwrap_or(empty);
        }
        let known = keys.join(", ");
        mistakes
            .line(node.line.unwrap_or(1), format!("is {}, write keys with values ({known})", whole.kind()));
        empty
    }

    /// A section within; an empty one when it is absent.
    pub(super) fn section(&self, key: &str, keys: &[&str]) -> Section<'a> {
        self.read(key, |value| value.section(keys)).unwrap_or_else(|| Section {
            path: join(&self.path, key),
            entries: &[],
            mistakes: self.mistakes,
        })
    }

    /// Whether nothing is set.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads a key's value. None when it is absent, null or wrong; the mistake is noted then.
    pub(super) fn read<T>(&self, key: &str, read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if entry.value.is_null() {
            return None;
        }
        read(Value { path: join(&self.path, key), node: &entry.value, mistakes: self.mistakes })
    }

    /// Whether a key has a value, be it right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !entry.value.is_null())
    }

    /// Reads a key's value; that it is absent or null is a mistake, too.
    pub(super) fn require<T>(&self, key: &str, read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        if !self.has(key) {
            self.mistake(key, "is missing");
        }
        self.read(key, read)
    }

    /// Notes a mistake of one of its keys.
    pub(super) fn mistake(&self, key: &str, what: impl Into<String>) {
        self.mistakes.setting(join(&self.path, key), what);
    }
}

impl<'a> Value<'a> {
    /// Text. What an unquoted scalar means otherwise (a number, a boolean, null) must be quoted.
    pub(super) fn text(self) -> Option<String> {
        match &self.node.content {
            Content::Scalar(text, Style::Plain) => match Scalar::resolve(text) {
                Scalar::Text => Some(text.clone()),
                other => self.wrong(format!("YAML reads this as {}, quote it", other.kind())),
            },
            Content::Scalar(text, Style::Quoted | Style::Given) => Some(text.clone()),
            _ => self.wrong(format!("is {}, not text", self.kind())),
        }
    }

    /// The text of any scalar but null.
    pub(super) fn scalar_text(self) -> Option<String> {
        match &self.node.content {
            Content::Scalar(text, _) if !self.node.is_null() => Some(text.clone()),
            _ => self.wrong(format!("is {}, not text", self.kind())),
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let Some(Scalar::Integer(value)) = self.unquoted() else {
            return self.wrong(format!("is {}, not a whole number", self.kind()));
        };
        match u64::try_from(value).ok().filter(|value| bounds.contains(value)) {
            Some(value) => Some(value),
            None => self.wrong(format!("{value} is not between {} and {}", bounds.start(), bounds.end())),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(self) -> Option<bool> {
        match self.unquoted() {
            Some(Scalar::Boolean(value)) => Some(value),
            _ => self.wrong(format!("is {}, neither true nor false", self.kind())),
        }
    }

    /// A whole number with `ms`, `s`, `m` or `h`, within bounds.
    pub(super) fn duration(self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let Content::Scalar(text, _) = &self.node.content else {
            return self.wrong(format!("is {}, not a duration such as 500ms, 2s, 5m or 1h", self.kind()));
        };
        let Some(duration) = parse_duration(text) else {
            return self
                .wrong("is no duration, write a whole number with ms, s, m or h, such as 500ms".to_owned());
        };
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let (start, end) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
        self.wrong(format!("{text} is not between {start} and {end}"))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(self, choices: &[(&str, T)]) -> Option<T> {
        let Content::Scalar(text, _) = &self.node.content else {
            return self.wrong(format!("is {}, not {}", self.kind(), one_of(choices)));
        };
        match choices.iter().find(|(word, _)| word == text) {
            Some((_, choice)) => Some(*choice),
            None => self.wrong(format!("{text:?} is not {}", one_of(choices))),
        }
    }

    /// The items of a list.
    pub(super) fn items(self) -> Option<Vec<Value<'a>>> {
        let Content::Sequence(items) = &self.node.content else {
            return self.wrong(format!("is {}, not a list: put it into [ ]", self.kind()));
        };
        let item =
            |(index, node)| Value { path: join_index(&self.path, index), node, mistakes: self.mistakes };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A list of texts. None when an item is no text, too: what is left must not be taken for the whole.
    pub(super) fn texts(self) -> Option<Vec<String>> {
        let texts: Vec<Option<String>> = self.items()?.into_iter().map(Value::text).collect();
        texts.into_iter().collect()
    }

    /// The name of a field: not empty.
    pub(super) fn field_name(self) -> Option<String> {
        let (path, mistakes) = (self.path.clone(), self.mistakes);
        let name = self.text()?;
        if name.is_empty() {
            mistakes.setting(path, EMPTY_FIELD);
            return None;
        }
        Some(name)
    }

    /// A list of names of fields: not empty, none twice.
    pub(super) fn field_names(self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for item in self.items()? {
            let (path, mistakes) = (item.path.clone(), item.mistakes);
            let Some(name) = item.field_name() else { continue };
            if names.contains(&name) {
                mistakes.setting(path, format!("{name:?} is repeated, remove one"));
            } else {
                names.push(name);
            }
        }
        Some(names)
    }

    /// A mapping whose keys are known.
    pub(super) fn section(self, keys: &[&str]) -> Option<Section<'a>> {
        let Content::Mapping(entries) = &self.node.content else {
            return self.wrong(format!("is {}, not keys with values ({})", self.kind(), keys.join(", ")));
        };
        for entry in entries {
            if !keys.contains(&entry.key.as_str()) {
                self.unknown(entry, keys);
            }
        }
        Some(Section { path: self.path, entries, mistakes: self.mistakes })
    }

    /// A mapping whose keys are free.
    pub(super) fn pairs(self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let Content::Mapping(entries) = &self.node.content else {
            return self.wrong(format!("is {}, not names with values", self.kind()));
        };
        let mut pairs = Vec::new();
        for entry in entries {
            let path = join(&self.path, &entry.key);
            pairs.push((entry.key.as_str(), Value { path, node: &entry.value, mistakes: self.mistakes }));
        }
        Some(pairs)
    }

    /// What an unquoted scalar means.
    fn unquoted(&self) -> Option<Scalar> {
        match &self.node.content {
            Content::Scalar(text, Style::Plain | Style::Given) => Some(Scalar::resolve(text)),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match &self.node.content {
            Content::Scalar(text, Style::Plain | Style::Given) => Scalar::resolve(text).kind(),
            Content::Scalar(_, Style::Quoted) => "quoted text",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "keys with values",
            Content::Failed => "unreadable",
        }
    }

    /// Notes a mistake, unless there is one already.
    fn wrong<T>(&self, what: String) -> Option<T> {
        if self.node.content != Content::Failed {
            self.mistakes.setting(&self.path, what);
        }
        None
    }

    fn unknown(&self, entry: &Entry, keys: &[&str]) {
        let hint = match closest(&entry.key, keys) {
            Some(key) => format!("did you mean {key:?}?"),
            None => format!("the keys here are {}", keys.join(", ")),
        };
        match entry.line {
            Some(line) => {
                let place = if self.path.is_empty() { String::new() } else { format!(" in {}", self.path) };
                self.mistakes.line(line, format!("unknown key {:?}{place}, {hint}", entry.key));
            }
            None => self.mistakes.setting(join(&self.path, &entry.key), format!("unknown key, {hint}")),
        }
    }
}

fn one_of<T>(choices: &[(&str, T)]) -> String {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    format!("one of {}", words.join(", "))
}

/// What is wrong with the empty name of a field.
pub(super) const EMPTY_FIELD: &str = "is empty, name a field";
