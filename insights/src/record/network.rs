//! Addresses and networks, as the filter compares them and as the output masks them.
//!
//! It never resolves a name, and takes an IPv4 address inside IPv6 for what it is: IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is neither an address nor an address with a prefix.
    Malformed,
    /// The address has bits behind the prefix; this is the network's own.
    HostBits(IpAddr),
}

impl Network {
    /// Reads an address, which stands for itself, or an address, `/` and a prefix length in bits.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| Problem::Malformed)?;
        let width = if address.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
        let prefix = match prefix {
            Some(prefix) => prefix_length(prefix).filter(|bits| *bits <= width).ok_or(Problem::Malformed)?,
            None => width,
        };
        let base = masked(address, prefix);
        if base == address { Ok(Self { address, prefix }) } else { Err(Problem::HostBits(base)) }
    }

    /// Whether an address lies in it.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        masked(address, self.prefix) == self.address
    }
}

/// The network address that stays when the end of an address is taken away (IPv4 /24, IPv6 /48); none for what is not
/// an address.
pub(super) fn mask(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    Some(masked(address, if address.is_ipv4() { MASKED_IPV4_BITS } else { MASKED_IPV6_BITS }))
}

fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::MAX.checked_shl(Ipv4Addr::BITS.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & bits))
        }
        IpAddr::V6(address) => {
            let bits = u128::MAX.checked_shl(Ipv6Addr::BITS.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & bits))
        }
    }
}

fn prefix_length(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

const MASKED_IPV4_BITS: u32 = 24;
const MASKED_IPV6_BITS: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_lies_in_networks_of_its_own_family_only() {
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::ffff:10.0.0.1"));
        assert!(!contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("::/0", "1.2.3.4"));
        assert!(contains("1.2.3.4", "1.2.3.4") && !contains("1.2.3.4", "1.2.3.5"));
        assert!(contains("::1/128", "::1") && !contains("::1", "::2"));
    }

    #[test]
    fn host_bits_and_what_is_no_network_are_told_apart() {
        assert_eq!(Network::parse("10.0.0.1/8"), Err(Problem::HostBits("10.0.0.0".parse().unwrap())));
        assert_eq!(Network::parse("2001:db8::1/48"), Err(Problem::HostBits("2001:db8::".parse().unwrap())));
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "fe80::1%eth0",
            "example.org",
            "10.0.0.0/99999999999",
        ] {
            assert_eq!(Network::parse(text), Err(Problem::Malformed), "{text}");
        }
    }

    #[test]
    fn a_mask_keeps_the_network_address() {
        for (text, expected) in [
            ("199.172.111.135", Some("199.172.111.0")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1::")),
            ("::ffff:10.0.0.1", Some("::")),
            ("010.0.0.1", None),
            ("fe80::1%eth0", None),
            ("10.0.0.1 ", None),
            ("", None),
        ] {
            assert_eq!(mask(text).map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
