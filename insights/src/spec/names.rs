//! The grammars of names and addresses: pipeline ids, topics, `host:port`, networks.
//!
//! Owns what is well-formed. It never asks whether something exists.

use std::net::{IpAddr, Ipv6Addr};

/// Whether a text is `[a-z0-9]([a-z0-9._-]*[a-z0-9])?`, at most 128 bytes.
pub(super) fn is_pipeline_id(text: &str) -> bool {
    let is_edge =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= 128
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
        && text
            .bytes()
            .all(|byte| is_edge(Some(byte)) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Whether Kafka takes a text as a topic's name.
pub(super) fn is_topic(text: &str) -> bool {
    (1..=249).contains(&text.len())
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
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
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
    let port = match behind.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None if behind.is_empty() => port_default?,
        _ => return None,
    };
    (is_host && port > 0).then(|| (host.to_owned(), port))
}

/// What is wrong with a network in CIDR notation; an address alone is a network of one.
pub(super) fn network_mistake(text: &str) -> Option<String> {
    let malformed = || {
        Some(format!(
            "{text:?} is no network, write for example 10.0.0.0/8 or 2001:db8::/32"
        ))
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return malformed();
    };
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let prefix = prefix?;
    let is_number =
        !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let length = match prefix.parse::<u32>() {
        Ok(length) if is_number && length <= width => length,
        _ => return malformed(),
    };
    let host_mask = 1_u128
        .checked_shl(width - length)
        .map_or(u128::MAX, |bit| bit - 1);
    if bits & host_mask == 0 {
        return None;
    }
    let network = bits & !host_mask;
    let network = match address {
        IpAddr::V4(_) => IpAddr::V4(
            u32::try_from(network)
                .expect("an IPv4 address has 32 bits")
                .into(),
        ),
        IpAddr::V6(_) => IpAddr::V6(network.into()),
    };
    Some(format!(
        "{text:?} has host bits, write {network}/{length} for its network"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipeline_ids_begin_and_end_with_a_letter_or_digit() {
        for id in [
            "a",
            "0",
            "user-login",
            "a.b_c-d",
            "analytics.user-login",
            &"a".repeat(128),
        ] {
            assert!(is_pipeline_id(id), "{id}");
        }
        for id in [
            "",
            "-a",
            "a-",
            ".",
            "A",
            "a b",
            "ä",
            "a/b",
            "a{b",
            &"a".repeat(129),
        ] {
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
        assert_eq!(
            host_and_port("kafka-0.kafka:9092", None),
            Some(("kafka-0.kafka".to_owned(), 9092))
        );
        assert_eq!(host_and_port("[::1]:9092", None), Some(("::1".to_owned(), 9092)));
        assert_eq!(
            host_and_port("redis", Some(6379)),
            Some(("redis".to_owned(), 6379))
        );
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

    #[test]
    fn networks_have_no_host_bits() {
        for text in [
            "10.0.0.0/8",
            "10.1.2.3",
            "10.1.2.3/32",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/32",
            "::1",
            "::1/128",
        ] {
            assert_eq!(network_mistake(text), None, "{text}");
        }
        for (text, network) in [
            ("10.1.0.0/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("1.2.3.4/0", "0.0.0.0/0"),
        ] {
            assert!(
                network_mistake(text)
                    .unwrap()
                    .contains(&format!("write {network} ")),
                "{text}"
            );
        }
        for text in [
            "",
            "10.0.0/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "010.0.0.0/8",
            "fe80::1%eth0",
            "::/129",
            "a",
        ] {
            assert!(network_mistake(text).unwrap().contains("is no network"), "{text}");
        }
    }
}
