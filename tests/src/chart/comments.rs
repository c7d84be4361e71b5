//! Owns the comments of a values file: for each key, what the lines above it say.
//! It never looks at a value; a YAML parser does that, which in turn sees no comments.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// What stands above a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Comment {
    /// The lines, joined.
    pub(super) description: String,
    /// The mapping behind `@schema`.
    pub(super) additions: Map<String, Value>,
}

/// The comments of a text by the path of their key. Keys are one to a line, indented by two spaces; lists and mappings
/// that are not to be looked into may be on one line.
pub(super) fn read(text: &str) -> Result<BTreeMap<Vec<String>, Comment>> {
    let mut comments = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    let mut pending = Comment::default();
    for (index, line) in text.lines().enumerate() {
        let place = || format!("line {}", index + 1);
        let content = line.trim_start();
        if content.is_empty() {
            pending = Comment::default();
        } else if let Some(comment) = content.strip_prefix('#') {
            pending.add(comment.trim()).with_context(place)?;
        } else {
            let Some((key, _)) = content.split_once(':').filter(|(key, _)| is_word(key)) else {
                bail!("{}: not `key: value`; write lists on one line", place());
            };
            path.truncate((line.len() - content.len()) / 2);
            path.push(key.to_owned());
            comments.insert(path.clone(), std::mem::take(&mut pending));
        }
    }
    Ok(comments)
}

impl Comment {
    fn add(&mut self, line: &str) -> Result<()> {
        if let Some(additions) = line.strip_prefix("@schema ") {
            self.additions =
                serde_json::from_str(additions).context("what follows `@schema` is no JSON object")?;
            return Ok(());
        }
        if !self.description.is_empty() {
            self.description.push(' ');
        }
        self.description.push_str(line);
        Ok(())
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_comment_belongs_to_the_key_right_below_it() {
        let text = "# Of the file.\n\n# One\n# two.\na:\n  # Three.\n  # @schema {\"minimum\": 1}\n  b: 1\n  c: {d: 2}\ne: []\n";
        let comments = read(text).unwrap();
        assert_eq!(comments.len(), 4);
        assert_eq!(comments.get(&path("a")).unwrap().description, "One two.");
        let b = comments.get(&path("a.b")).unwrap();
        assert_eq!(b.description, "Three.");
        assert_eq!(Value::Object(b.additions.clone()), json!({"minimum": 1}));
        assert_eq!(comments.get(&path("a.c")), Some(&Comment::default()));
        assert_eq!(comments.get(&path("e")), Some(&Comment::default()));
    }

    #[test]
    fn what_is_not_understood_comes_with_its_line() {
        for (text, expected) in [
            ("a: 1\nb:\n- 1\n", "line 3: not `key: value`"),
            ("# @schema {minimum: 1}\na: 1\n", "line 1: what follows `@schema`"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
