//! `${NAME}`, `${file:PATH}` and `$${` in a configuration's values.
//!
//! Owns their grammar. It works on parsed scalars, never on the file's text: whatever a variable or a file holds, it cannot
//! change the structure.

use std::path::Path;

use super::Sources;
use super::error::Mistakes;
use super::section::{join, join_index};
use super::tree::{Content, Node, Style};

/// Fills in all scalar values of a tree. What cannot be filled in is noted and becomes [`Content::Failed`].
pub(super) fn substitute(root: &mut Node, sources: &Sources<'_>, mistakes: &Mistakes) {
    visit(root, "", sources, mistakes);
}

/// Replaces the braces of references by characters that mean nothing in YAML, so that `[${NAME}]` is one item and not a
/// mapping within a list. Lines and columns stay.
pub(super) fn shield(text: &str) -> String {
    let mut shielded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        shielded.push_str(before);
        let name = behind.split_once('}').map(|(name, _)| name).filter(|name| is_name(name) || is_file(name));
        if let Some(name) = name {
            shielded.extend(["$", OPENING, name, CLOSING]);
            rest = behind.get(name.len() + 1..).unwrap_or_default();
        } else {
            shielded.push_str("${");
            rest = behind;
        }
    }
    shielded.push_str(rest);
    shielded
}

/// Undoes [`shield`].
pub(super) fn unshield(text: &str) -> String {
    text.replace(OPENING, "{").replace(CLOSING, "}")
}

/// Whether a character is one of those that [`shield`] needs for itself.
pub(super) fn is_shield(character: char) -> bool {
    OPENING.contains(character) || CLOSING.contains(character)
}

/// Text that reads back as itself.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn visit(node: &mut Node, path: &str, sources: &Sources<'_>, mistakes: &Mistakes) {
    match &mut node.content {
        Content::Mapping(entries) => {
            for entry in entries {
                visit(&mut entry.value, &join(path, &entry.key), sources, mistakes);
            }
        }
        Content::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, &join_index(path, index), sources, mistakes);
            }
        }
        Content::Scalar(text, style) if *style != Style::Given && text.contains("${") => {
            match expand(text, sources) {
                Ok(expanded) => {
                    *text = expanded;
                    if *style == Style::Plain {
                        *style = Style::Given;
                    }
                }
                Err(what) => {
                    mistakes.setting(path, what);
                    node.content = Content::Failed;
                }
            }
        }
        Content::Scalar(..) | Content::Failed => {}
    }
}

/// The text with everything filled in, or what is wrong. What was filled in is not looked into again.
fn expand(text: &str, sources: &Sources<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = reference.strip_prefix("${").unwrap_or_default();
            continue;
        }
        expanded.push_str(before);
        let inner = reference.strip_prefix("${").unwrap_or_default();
        let Some((name, behind)) = inner.split_once('}') else {
            return Err("\"${\" is never closed, add \"}\" (or write \"$${\" for a plain \"${\")".to_owned());
        };
        expanded.push_str(&look_up(name, sources)?);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn look_up(name: &str, sources: &Sources<'_>) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        return read_file(path, sources).map_err(|why| format!("${{{name}}} {why}"));
    }
    if !is_name(name) {
        // Not repeated: it may be a piece of a password.
        return Err(
            "\"${\" begins neither ${NAME} nor ${file:PATH} (write \"$${\" for a plain \"${\")".to_owned()
        );
    }
    (sources.environment)(name).ok_or_else(|| format!("environment variable {name} is not set"))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn is_file(text: &str) -> bool {
    text.starts_with("file:") && !text.contains(['\n', '\r'])
}

/// A file's trimmed content, or why there is none.
pub(super) fn read_file(path: &str, sources: &Sources<'_>) -> Result<String, String> {
    let content = (sources.file)(Path::new(path)).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(content.trim().to_owned())
}

/// Unicode keeps these two for a program's internal use: no text has them.
const OPENING: &str = "\u{fdd0}";
const CLOSING: &str = "\u{fdd1}";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn expanded(text: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "NESTED" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let file = |path: &Path| match path.to_str() {
            Some("/key") => Ok(" s3: # cret\n".to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        expand(text, &Sources { environment: &environment, file: &file })
    }

    #[test]
    fn variables_and_files_are_filled_in_once() {
        for (text, expected) in [
            ("${A}", "1"),
            ("a${A}b${A}", "a1b1"),
            ("${EMPTY}", ""),
            ("${NESTED}", "${A}"),
            ("<${file:/key}>", "<s3: # cret>"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$A $ $$ {A} }", "$A $ $$ {A} }"),
            ("$${", "${"),
            ("${A}$${A}", "1${A}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_shield_covers_whole_references_only() {
        for text in ["${A}", "a: [${A}, $${B}]", "x${file:/a b}y"] {
            assert!(!shield(text).contains(['{', '}']), "{text}");
            assert_eq!(unshield(&shield(text)), text);
        }
        for text in ["{a: b}", "${a b}", "${", "${}", "${file:/a\n}", "{$: {a}}"] {
            assert_eq!(shield(text), text);
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        for (text, expected) in [
            ("${B}", "environment variable B is not set"),
            ("${file:/none}", "${file:/none} cannot be read: "),
            ("${A", "never closed"),
            ("${}", "neither ${NAME}"),
            ("${A:-1}", "neither ${NAME}"),
            ("${1A}", "neither ${NAME}"),
        ] {
            assert!(expanded(text).unwrap_err().contains(expected), "{text}");
        }
    }

    #[test]
    fn escaped_text_reads_back_as_itself() {
        for text in ["${A}", "$${A}", "$", "$$", "a${", "$$${"] {
            assert_eq!(expanded(&escape(text)).as_deref(), Ok(text));
        }
    }
}
