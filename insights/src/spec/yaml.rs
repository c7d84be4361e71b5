//! The effective configuration as YAML, for `--print-config`.
//!
//! Owns how a tree is laid out. It shows no secret, and what it shows reads back as the same.

use secrecy::{ExposeSecret, SecretString};

use super::encode;
use super::model::PipelineSpec;
use super::redis_url::RedisUrl;
use super::scalar::Scalar;
use super::substitute::escape;
use super::text::quote;
use super::tree::{Content, Entry, Node, Style};

impl PipelineSpec {
    /// All effective settings as a configuration file, with `***` for each secret.
    pub fn to_yaml(&self) -> String {
        let mut entries =
            vec![("revision", Node::plain(&self.revision)), ("pipeline", Node::quoted(&self.pipeline))];
        entries.extend(encode::connections(self, redacted_url(&self.redis.url)));
        entries.extend(encode::settings(self, &redacted));
        let mut root = Node::mapping(entries);
        root.put(&["insights", "publishEvery"], encode::publish_every(self));
        let mut yaml = String::new();
        if let Content::Mapping(entries) = &root.content {
            write_block(entries, 0, &mut yaml);
        }
        yaml
    }
}

fn redacted(secret: &SecretString) -> String {
    if secret.expose_secret().is_empty() { String::new() } else { encode::REDACTED.to_owned() }
}

fn redacted_url(url: &SecretString) -> String {
    RedisUrl::parse(url.expose_secret()).map_or_else(|_| encode::REDACTED.to_owned(), |url| url.to_string())
}

/// Sections as indented blocks, lists of sections one a line, all else within its line.
fn write_block(entries: &[Entry], depth: usize, yaml: &mut String) {
    let indent = "  ".repeat(depth);
    for Entry { key, value, .. } in entries {
        yaml.extend([&indent, &scalar(key, Style::Quoted), ":"]);
        match &value.content {
            Content::Mapping(inner) if !inner.is_empty() => {
                yaml.push('\n');
                write_block(inner, depth + 1, yaml);
            }
            Content::Sequence(items)
                if matches!(items.first(), Some(Node { content: Content::Mapping(_), .. })) =>
            {
                yaml.push('\n');
                for item in items {
                    yaml.extend([&indent, "- ", &flow(item), "\n"]);
                }
            }
            _ => yaml.extend([" ", &flow(value), "\n"]),
        }
    }
}

fn flow(node: &Node) -> String {
    match &node.content {
        Content::Scalar(text, style) => scalar(&escape(text), *style),
        Content::Sequence(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Mapping(entries) => {
            let entry =
                |entry: &Entry| format!("{}: {}", scalar(&entry.key, Style::Quoted), flow(&entry.value));
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Content::Failed => "null".to_owned(),
    }
}

/// Quoted, unless it is certain that it need not be.
fn scalar(text: &str, style: Style) -> String {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte);
    let is_bare = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && !text.ends_with(':')
        && text.bytes().all(is_safe)
        && Scalar::resolve(text) == Scalar::Text;
    if is_bare || style == Style::Plain { text.to_owned() } else { quote(text) }
}
