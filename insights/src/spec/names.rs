//! The grammars of names and addresses: pipeline ids, topics, `host:port`.
//!
//! Owns what is well-formed. It never asks whether something exists.

use std::net::Ipv6Addr;

/// Whether a text is `[a-z0-9]([a-z0-9._-]*[a-z0-9])?`, at most 128 bytes.
pub(super) fn is_pipeline_id(text: &str) -> bool {
    let is_edge =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= 128
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
        && text.bytes().all(|byte| is_edge(Some(byte)) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Whether Kafka takes a text as a topic's name.
pub(super) fn is_topic(text: &str) -> bool {
    (1..=249).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Reads `host:port` or `[IPv6]:port`; the port may be left out when there is a default.
pub(super) fn host_and_port(text: &str, port_default: Option<u16>) -> Option<(String, u16)> {
    let (host, behind) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, behind)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_host = text.starts_with('[')
        || (!host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
    let port = match behind.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None if behind.is_empty() => port_default?,
        _ => return None,
    };
    (is_host && port > 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipeline_ids_begin_and_end_with_a_letter_or_digit() {
        for id in ["a", "0", "user-login", "a.b_c-d", "analytics.user-login", &"a".repeat(128)] {
            assert!(is_pipeline_id(id), "{id}");
        }
        for id in ["", "-a", "a-", ".", "A", "a b", "ä", "a/b", "a{b", &"a".repeat(129)] {
            assert!(!is_pipeline_id(id), "{id}");
        }
    }

    #[test]
    fn topics_follow_kafkas_rules() {
        for topic in ["a", "User_Login.1-x", "...", &"a".repeat(249)] {
            assert!(is_topic(topic), "{topic}");
        }
        for topic in ["", ".", "..", "a b", "a/b", "ü", &"a".repeat(250)] {
            assert!(!is_topic(topic), "{topic}");
        }
    }

    #[test]
    fn hosts_come_with_a_port() {
        assert_eq!(host_and_port("kafka-0.kafka:9092", None), Some(("kafka-0.kafka".to_owned(), 9092)));
        assert_eq!(host_and_port("[::1]:9092", None), Some(("::1".to_owned(), 9092)));
        assert_eq!(host_and_port("redis", Some(6379)), Some(("redis".to_owned(), 6379)));
        for text in [
            "",
            "a",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:1:2",
            "a b:1",
            "[::1]",
            "[x]:1",
            "[::1]x:1",
            "SSL://a:1",
            "a:1,b:2",
        ] {
            assert_eq!(host_and_port(text, None), None, "{text}");
        }
    }
}
