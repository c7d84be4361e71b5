//! Owns `values.schema.json`: made of the values' defaults, which say the types, and of the comments above them.
//! It never lets a value without a description pass, nor an empty list or mapping that does not say what it may hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::comments::{self, Comment};
use crate::sources;

/// The chart's folder.
pub fn folder() -> PathBuf {
    sources().join("../charts/rollcall")
}

/// The schema that the chart's values file asks for.
pub fn schema() -> Result<Value> {
    let path = folder().join("values.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    of(&text).with_context(|| format!("no schema can be made of {}", path.display()))
}

/// Writes the schema into the chart, and tells where.
pub fn write_schema() -> Result<PathBuf> {
    let path = folder().join("values.schema.json");
    let mut text = serde_json::to_string_pretty(&schema()?)?;
    text.push('\n');
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

fn of(text: &str) -> Result<Value> {
    let values: Value = serde_saphyr::from_str(text).context("the values are no YAML")?;
    let comments = comments::read(text)?;
    let mut schema = Outline { comments: &comments }.node(&mut Vec::new(), &values)?;
    schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    Ok(Value::Object(schema))
}

struct Outline<'a> {
    comments: &'a BTreeMap<Vec<String>, Comment>,
}

impl Outline<'_> {
    fn node(&self, path: &mut Vec<String>, value: &Value) -> Result<Map<String, Value>> {
        let comment = self.comments.get(path).cloned().unwrap_or_default();
        let mut schema = match value {
            Value::Object(members) if self.is_looked_into(path, members) => self.section(path, members)?,
            _ => leaf(value, &comment).with_context(|| path.join("."))?,
        };
        if !comment.description.is_empty() {
            schema.insert("description".into(), comment.description.into());
        }
        if comment.additions.contains_key("enum") {
            // The words may be of several types.
            schema.remove("type");
        }
        schema.extend(comment.additions);
        Ok(schema)
    }

    /// Whether a mapping's keys are the chart's own, and not the content of one value.
    fn is_looked_into(&self, path: &[String], members: &Map<String, Value>) -> bool {
        let is_open =
            self.comments.get(path).is_some_and(|own| own.additions.contains_key("additionalProperties"));
        let is_described = |key: &String| {
            let member = [path, std::slice::from_ref(key)].concat();
            self.comments.get(&member).is_some_and(|comment| *comment != Comment::default())
        };
        !members.is_empty() && (!is_open || members.keys().any(is_described))
    }

    fn section(&self, path: &mut Vec<String>, members: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut properties = Map::new();
        for (key, value) in members {
            path.push(key.clone());
            properties.insert(key.clone(), Value::Object(self.node(path, value)?));
            path.pop();
        }
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("additionalProperties".into(), false.into());
        schema.insert("properties".into(), properties.into());
        Ok(schema)
    }
}

fn leaf(value: &Value, comment: &Comment) -> Result<Map<String, Value>> {
    ensure!(!comment.description.is_empty(), "no comment above it says what it is");
    let kind = match value {
        Value::Null => bail!("a default of null has no type: use an empty text, list or mapping"),
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => {
            ensure!(
                comment.additions.contains_key("items"),
                "say with `@schema {{\"items\": …}}` what it may hold"
            );
            "array"
        }
        Value::Object(_) => {
            let is_said = comment.additions.contains_key("additionalProperties");
            ensure!(is_said, "say with `@schema {{\"additionalProperties\": …}}` what it may hold");
            "object"
        }
    };
    let mut schema = Map::new();
    schema.insert("type".into(), kind.into());
    schema.insert("default".into(), json!(value));
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_holds_the_schema_of_its_values() {
        let text = fs::read_to_string(folder().join("values.schema.json")).unwrap();
        let mut made = serde_json::to_string_pretty(&schema().unwrap()).unwrap();
        made.push('\n');
        assert!(text == made, "values.yaml and its schema differ: run `cargo lab chart`");
    }

    #[test]
    fn defaults_say_the_types_and_comments_the_rest() {
        let text = "# Section.\na:\n  # One.\n  # @schema {\"minimum\": 0}\n  b: 1\n  # Two.\n  # @schema {\"enum\": [\"auto\", true]}\n  c: auto\n\
                    # Open.\n# @schema {\"additionalProperties\": true}\nd: {e: {f: x}}\n";
        let expected = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
            "properties": {
                "a": {"type": "object", "additionalProperties": false, "description": "Section.", "properties": {
                    "b": {"type": "integer", "default": 1, "minimum": 0, "description": "One."},
                    "c": {"enum": ["auto", true], "default": "auto", "description": "Two."},
                }},
                "d": {"type": "object", "additionalProperties": true, "default": {"e": {"f": "x"}}, "description": "Open."},
            },
        });
        assert_eq!(of(text).unwrap(), expected);
    }

    #[test]
    fn what_is_not_described_is_refused_by_its_path() {
        for (text, expected) in [
            ("a:\n  # B.\n  b: 1\n  c: x\n", "a.c: no comment"),
            ("# A.\na: []\n", "a: say with `@schema {\"items\""),
            ("# A.\na: {}\n", "a: say with `@schema {\"additionalProperties\""),
            ("# A.\na: null\n", "a: a default of null"),
        ] {
            let error = format!("{:#}", of(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
