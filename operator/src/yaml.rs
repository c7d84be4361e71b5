//! YAML for people and for the workers, from JSON.
//!
//! Owns a plain block style in which no text can be taken for anything else: every string is quoted, as JSON quotes it.

use std::fmt::Write as _;

use serde_json::Value;

/// Prints a value.
pub fn print(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 || !text.ends_with("- ") {
                    indent(depth, text);
                }
                text.push_str(&shown(key));
                text.push(':');
                write_member(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(depth, text);
                text.push_str("- ");
                match item {
                    Value::Object(fields) if !fields.is_empty() => write(item, depth + 1, text),
                    // JSON is YAML, too: a list within a list.
                    _ => text.extend([&scalar(item), "\n"]),
                }
            }
        }
        _ => text.extend([&scalar(value), "\n"]),
    }
}

fn write_member(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            write(value, depth + 1, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            write(value, depth, text);
        }
        _ => text.extend([" ", &scalar(value), "\n"]),
    }
}

fn indent(depth: usize, text: &mut String) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

/// JSON within a line, which is YAML, too, but for some characters that JSON takes as they are.
fn scalar(value: &Value) -> String {
    let json = value.to_string();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(text, "\\u{:04x}", u32::from(character)).expect("a string takes all");
            }
            _ => text.push(character),
        }
    }
    text
}

/// A key, quoted unless it is a plain word that YAML takes for nothing else.
fn shown(key: &str) -> String {
    let plain = key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !matches!(
            key.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { key.to_owned() } else { scalar(&Value::from(key)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_well() {
        let value =
            json!({"a": {"b": [1, {"c": "x", "d": []}, "3.0"], "e f": {}}, "on": null, "t": "a\n\"b\""});
        let expected = "a:\n  b:\n  - 1\n  - c: \"x\"\n    d: []\n  - \"3.0\"\n  \"e f\": {}\n\"on\": null\nt: \"a\\n\\\"b\\\"\"\n";
        assert_eq!(print(&value), expected);
    }

    #[test]
    fn it_reads_back() {
        let value = json!({
            "strings": ["", "3.0", "true", "~", "- a", "a: b", "#", "ü\u{7f}\u{2028}", "${x}", "yes", "1e3", "\\"],
            "numbers": [0, -1, 1.5], "nested": [[1, [2]], {"x": [{"y": {"z": []}}]}], "a b": {"-": 1, "": 2},
        });
        let read: Value = serde_saphyr::from_str(&print(&value)).unwrap();
        assert_eq!(read, value);
    }
}
