//! Owns IP addresses and CIDRs as text. Never resolves a name, never takes IPv4-mapped IPv6 for IPv4.

/// An address: 4 bytes for IPv4, 16 for IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Vec<u8>);

impl Address {
    /// Reads dotted decimal without leading zeros, or RFC 4291's text without a zone; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(':') { ipv6(text) } else { ipv4(text) }.map(Self)
    }

    /// The address with all but its first bits zero.
    fn network(&self, prefix_bits: usize) -> Self {
        let keep = |(index, byte): (usize, &u8)| {
            let kept_bits = prefix_bits.saturating_sub(index * 8).min(8);
            let mask = (0xff00_u16 >> kept_bits) & 0xff;
            byte & u8::try_from(mask).expect("eight bits")
        };
        Self(self.0.iter().enumerate().map(keep).collect())
    }

    fn text(&self) -> String {
        if self.0.len() == 4 {
            let parts: Vec<String> = self.0.iter().map(u8::to_string).collect();
            return parts.join(".");
        }
        let groups: Vec<u16> = self
            .0
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |group, byte| group << 8 | u16::from(*byte)))
            .collect();
        ipv6_text(&groups)
    }
}

/// Whether the address is in the CIDR (without a prefix: is the one address). False for what is not an address.
pub fn is_in(address: &str, cidr: &str) -> bool {
    let Some(address) = Address::parse(address) else {
        return false;
    };
    let (base, prefix) = cidr.split_once('/').map_or((cidr, None), |(base, prefix)| (base, Some(prefix)));
    let Some(base) = Address::parse(base) else {
        return false;
    };
    let all_bits = base.0.len() * 8;
    let prefix_bits =
        prefix.map_or(all_bits, |prefix| prefix.parse().expect("the prefix of a CIDR is a number"));
    address.0.len() == base.0.len() && address.network(prefix_bits) == base.network(prefix_bits)
}

/// The address of its network, IPv4 /24 or IPv6 /48, without the prefix. `None` for what is not an address.
pub fn mask(address: &str) -> Option<String> {
    let address = Address::parse(address)?;
    let prefix_bits = if address.0.len() == 4 { 24 } else { 48 };
    Some(address.network(prefix_bits).text())
}

fn ipv4(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in text.split('.') {
        let is_plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let has_leading_zero = part.len() > 1 && part.starts_with('0');
        if !is_plain || has_leading_zero {
            return None;
        }
        bytes.push(part.parse().ok()?);
    }
    (bytes.len() == 4).then_some(bytes)
}

fn ipv6(text: &str) -> Option<Vec<u8>> {
    let Some((head, tail)) = text.split_once("::") else {
        let bytes = groups(text, true)?;
        return (bytes.len() == 16).then_some(bytes);
    };
    // The `::` stands for at least one group. A second one leaves an empty group, which is refused.
    let mut bytes = if head.is_empty() { Vec::new() } else { groups(head, false)? };
    let tail = if tail.is_empty() { Vec::new() } else { groups(tail, true)? };
    if bytes.len() + tail.len() > 14 {
        return None;
    }
    bytes.resize(16 - tail.len(), 0);
    bytes.extend(tail);
    Some(bytes)
}

/// Groups of one to four hex digits; at the end of an address the last two may be dotted decimal.
fn groups(text: &str, ends_the_address: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let parts: Vec<&str> = text.split(':').collect();
    for (index, part) in parts.iter().enumerate() {
        if part.contains('.') {
            if !ends_the_address || index + 1 != parts.len() {
                return None;
            }
            bytes.extend(ipv4(part)?);
            continue;
        }
        let is_hex = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex {
            return None;
        }
        bytes.extend(u16::from_str_radix(part, 16).ok()?.to_be_bytes());
    }
    Some(bytes)
}

/// RFC 5952: lower case, no leading zeros, `::` for the first longest run of two or more zero groups.
fn ipv6_text(groups: &[u16]) -> String {
    let (mut longest_start, mut longest) = (0, 0);
    for start in 0..groups.len() {
        let run = groups.iter().skip(start).take_while(|group| **group == 0).count();
        if run > longest {
            (longest_start, longest) = (start, run);
        }
    }
    let hex = |groups: &[u16]| groups.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":");
    if longest < 2 {
        return hex(groups);
    }
    let (head, rest) = groups.split_at(longest_start);
    let (_, tail) = rest.split_at(longest);
    format!("{}::{}", hex(head), hex(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.4 ",
            "0x1.2.3.4",
            "1.2.3.+4",
            "fe80::1%eth0",
            ":::",
            "1::2::3",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4::5:6:7:8",
            "12345::",
            "::1.2.3.04",
            "1.2.3.4::",
            ":1::2",
            "::1:",
            "[::1]",
            "::g",
            "1:2:3:4:5:6:7:1.2.3.4",
            "1:2:3:4:5:6:7:8::",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "::",
            "1::",
            "::1",
            "1:2:3:4:5:6:7::",
            "::FFFF:10.0.0.1",
            "1:2:3:4:5:6:1.2.3.4",
        ] {
            assert!(Address::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_own_family_only() {
        assert!(is_in("10.255.0.1", "10.0.0.0/8"));
        assert!(!is_in("11.0.0.1", "10.0.0.0/8"));
        assert!(!is_in("::ffff:10.0.0.1", "10.0.0.0/8"));
        assert!(is_in("::ffff:10.0.0.1", "::ffff:a00:0/104"));
        assert!(is_in("192.168.1.129", "192.168.1.128/25"));
        assert!(!is_in("192.168.1.127", "192.168.1.128/25"));
        assert!(is_in("1.2.3.4", "0.0.0.0/0"));
        assert!(!is_in("::1", "0.0.0.0/0"));
        assert!(is_in("::1", "::1"));
        assert!(is_in("2001:DB8::1", "2001:db8::/32"));
        assert!(!is_in("nonsense", "0.0.0.0/0"));
    }

    #[test]
    fn a_mask_is_the_network_without_its_prefix() {
        assert_eq!(mask("203.0.113.77").as_deref(), Some("203.0.113.0"));
        assert_eq!(mask("2001:0DB8:00a1:7::5").as_deref(), Some("2001:db8:a1::"));
        assert_eq!(mask("2001:db8::1").as_deref(), Some("2001:db8::"));
        assert_eq!(mask("::ffff:10.0.0.1").as_deref(), Some("::"));
        assert_eq!(mask("0:0:5:6::").as_deref(), Some("0:0:5::"));
        assert_eq!(mask("1.2.3.04"), None);
    }
}
