//! A configuration file as a tree of scalars, lists and mappings that knows its lines.
//!
//! Owns YAML's syntax: what is no YAML, or YAML that a configuration has no use for, is refused here with its line. It
//! never knows which keys exist.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::error::{Mistake, Mistakes};
use super::scalar::Scalar;
use super::substitute::{is_shield, shield, unshield};

/// A value of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Counted from 1; none for what does not come from a file.
    pub(super) line: Option<usize>,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Scalar(String, Style),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// A scalar that could not be read; its mistake is already noted.
    Failed,
}

/// How a scalar is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Unquoted: its text decides what it is.
    Plain,
    /// Quoted: text.
    Quoted,
    /// From outside of the file (a flag, a variable, a file): whatever is asked for, and never looked into for `${…}`.
    Given,
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) line: Option<usize>,
    pub(super) key: String,
    pub(super) value: Node,
}

/// Parses a text; an empty one is an empty mapping. Repeated keys are noted, the first one stays.
pub(super) fn parse(text: &str, mistakes: &Mistakes) -> Result<Node, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_characters(text)?;
    let text = &shield(text);
    let mut builder = Builder { open: Vec::new(), root: None, mistakes };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => return Err(syntax(error.marker().line(), error.info().trim_end_matches('.'))),
        }
    }
    Ok(builder.root.unwrap_or_else(|| Node::mapping(Vec::new())))
}

impl Node {
    pub(super) const fn new(content: Content) -> Self {
        Self { line: None, content }
    }

    pub(super) fn plain(text: &impl ToString) -> Self {
        Self::new(Content::Scalar(text.to_string(), Style::Plain))
    }

    pub(super) fn quoted(text: impl Into<String>) -> Self {
        Self::new(Content::Scalar(text.into(), Style::Quoted))
    }

    pub(super) fn given(text: impl Into<String>) -> Self {
        Self::new(Content::Scalar(text.into(), Style::Given))
    }

    pub(super) const fn sequence(items: Vec<Self>) -> Self {
        Self::new(Content::Sequence(items))
    }

    pub(super) fn mapping(entries: Vec<(&str, Self)>) -> Self {
        let entry = |(key, value): (&str, Self)| Entry { line: None, key: key.to_owned(), value };
        Self::new(Content::Mapping(entries.into_iter().map(entry).collect()))
    }

    /// Whether it is written as nothing, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(text, Style::Plain) if Scalar::resolve(text) == Scalar::Null)
    }

    /// Sets the value at a path of keys. Where something else than a mapping stands in the way it changes nothing: the
    /// decoder reports that.
    pub(super) fn put(&mut self, path: &[&str], value: Self) {
        let Some((key, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if self.is_null() {
            self.content = Content::Mapping(Vec::new());
        }
        let Content::Mapping(entries) = &mut self.content else {
            return;
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
            entry.value.put(rest, value);
            return;
        }
        let mut child = Self::plain(&"");
        child.put(rest, value);
        entries.push(Entry { line: None, key: (*key).to_owned(), value: child });
    }
}

/// Builds the tree from the parser's events.
struct Builder<'a> {
    open: Vec<Open>,
    root: Option<Node>,
    mistakes: &'a Mistakes,
}

/// A list or mapping whose end has not come yet.
enum Open {
    Sequence { line: usize, items: Vec<Node> },
    Mapping { line: usize, entries: Vec<Entry>, key: Option<(usize, String)> },
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(syntax(line, "a second document begins here, a configuration is one document"))
            }
            Event::Alias(_) => Err(syntax(line, "an alias (*) is not supported, write the value again")),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(line, anchor, tag.is_some())?;
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                self.close(Node { line: Some(line), content: Content::Scalar(unshield(&text), style) })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(line, anchor, tag.is_some())?;
                self.open(line, Open::Sequence { line, items: Vec::new() })
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(line, anchor, tag.is_some())?;
                self.open(line, Open::Mapping { line, entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (line, content) = match self.open.pop() {
                    Some(Open::Sequence { line, items }) => (line, Content::Sequence(items)),
                    Some(Open::Mapping { line, entries, .. }) => (line, Content::Mapping(entries)),
                    None => return Err(syntax(line, "something ends here that never began")),
                };
                self.close(Node { line: Some(line), content })
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, line: usize, open: Open) -> Result<(), Mistake> {
        if self.open.len() >= DEPTH_MAX {
            return Err(syntax(line, "lists and mappings are nested too deeply"));
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, node: Node) -> Result<(), Mistake> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, key, line }) => match key.take() {
                None => {
                    let line = node.line.unwrap_or(*line);
                    let Content::Scalar(text, _) = node.content else {
                        return Err(syntax(line, "a key is a list or a mapping, write text"));
                    };
                    *key = Some((line, text));
                }
                Some((line, key)) => match entries.iter().find(|entry| entry.key == key) {
                    Some(first) => {
                        let first = first.line.unwrap_or(line);
                        let what =
                            format!("key {key:?} is repeated, it first stands at line {first}; remove one");
                        self.mistakes.line(line, what);
                    }
                    None => entries.push(Entry { line: Some(line), key, value: node }),
                },
            },
        }
        Ok(())
    }
}

fn refuse_extras(line: usize, anchor: usize, has_tag: bool) -> Result<(), Mistake> {
    if anchor != 0 {
        return Err(syntax(line, "an anchor (&) is not supported, write the value where it is needed"));
    }
    if has_tag {
        return Err(syntax(line, "a tag (!) is not supported, quote a value to make it text"));
    }
    Ok(())
}

/// YAML has no use for them, and the parser takes a NUL for the text's end: what follows would be lost without a word.
fn refuse_characters(text: &str) -> Result<(), Mistake> {
    let mut line = 1;
    for character in text.chars() {
        match character {
            '\n' => line += 1,
            '\t' | '\r' => {}
            _ if character < ' ' || is_shield(character) => {
                let what = format!("character U+{:04X} is not allowed, remove it", u32::from(character));
                return Err(syntax(line, &what));
            }
            _ => {}
        }
    }
    Ok(())
}

fn syntax(line: usize, what: &str) -> Mistake {
    Mistake::Line { line, what: what.to_owned() }
}

/// Far more than any configuration needs, and far less than a stack holds.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text, &Mistakes::default()).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_text_is_an_empty_mapping() {
        for text in ["", "\n", "# nothing\n", "\u{feff}"] {
            assert_eq!(parse(text, &Mistakes::default()), Ok(Node::mapping(Vec::new())), "{text:?}");
        }
        assert!(parse("---\n", &Mistakes::default()).unwrap().is_null());
    }

    #[test]
    fn a_syntax_error_comes_with_its_line() {
        for text in ["a: 1\nb: [1\n", "a: 1\n b: 2\n", "a: \"x\n", "a: 1\n\tb: 2\n", "a: b: c\n", "]"] {
            assert!(refusal(text).starts_with("line "), "{text:?}: {}", refusal(text));
        }
        assert!(refusal("a: 1\nb: 2\nc: d: e\n").starts_with("line 3: "));
    }

    #[test]
    fn what_a_configuration_has_no_use_for_is_refused() {
        assert!(refusal("a: &x 1\nb: *x\n").starts_with("line 1: an anchor"));
        assert!(refusal("a: 1\nb: *x\n").starts_with("line 2: "));
        assert!(refusal("a: 1\nb: !!str 2\n").starts_with("line 2: a tag"));
        assert!(refusal("a: 1\n---\nb: 2\n").starts_with("line 2: a second document"));
        assert!(refusal("? [a]\n: 1\n").starts_with("line 1: a key is a list"));
        assert!(refusal("a: 1\nb: \0\nc: 2\n").starts_with("line 2: character U+0000"));
        assert!(refusal(&"[".repeat(50)).contains("nested too deeply"));
        assert!(refusal(&"- ".repeat(100_000)).contains("nested too deeply"));
    }

    #[test]
    fn a_repeated_key_is_noted_with_both_lines() {
        let mistakes = Mistakes::default();
        parse("a:\n  b: 1\n  \"b\": 2\na: 3\n", &mistakes).unwrap();
        let errors = mistakes.into_result(()).unwrap_err().to_string();
        assert_eq!(
            errors,
            "line 3: key \"b\" is repeated, it first stands at line 2; remove one\n\
             line 4: key \"a\" is repeated, it first stands at line 1; remove one"
        );
    }

    #[test]
    fn put_makes_the_mappings_that_are_absent_or_null() {
        for text in ["", "a:\n", "a: {}\n", "a: {b: 1}\n"] {
            let mut root = parse(text, &Mistakes::default()).unwrap();
            root.put(&["a", "b"], Node::given("x"));
            let Content::Mapping(entries) = &root.content else { panic!("{root:?}") };
            let Content::Mapping(inner) = &entries[0].value.content else { panic!("{root:?}") };
            assert_eq!(inner[0].value.content, Content::Scalar("x".to_owned(), Style::Given), "{text:?}");
        }
    }
}
