//! Owns versions: dotted numbers of any size, SemVer's pre-releases, ignored builds. Never trims or guesses.

use std::cmp::Ordering;

use super::decimal::compare_digits;

/// A version of an app.
#[derive(Debug, Clone)]
pub struct Version {
    /// Digits without leading zeros.
    numbers: Vec<Vec<u8>>,
    pre_release: Vec<Vec<u8>>,
}

impl Version {
    /// Reads exactly one version; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
            return None;
        }
        let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
        let mut numbers = Vec::new();
        for part in core.split('.') {
            if !is_digits(part) {
                return None;
            }
            numbers.push(part.trim_start_matches('0').as_bytes().to_vec());
        }
        let mut pre_release = Vec::new();
        for identifier in pre.iter().flat_map(|pre| pre.split('.')) {
            let has_leading_zero =
                identifier.len() > 1 && identifier.starts_with('0') && is_digits(identifier);
            if !is_identifier(identifier) || has_leading_zero {
                return None;
            }
            pre_release.push(identifier.as_bytes().to_vec());
        }
        Some(Self { numbers, pre_release })
    }

    /// The order of the two versions.
    pub fn compare(&self, other: &Self) -> Ordering {
        for index in 0..self.numbers.len().max(other.numbers.len()) {
            let left = self.numbers.get(index).map_or(&[][..], Vec::as_slice);
            let right = other.numbers.get(index).map_or(&[][..], Vec::as_slice);
            let order = compare_digits(left, right);
            if order != Ordering::Equal {
                return order;
            }
        }
        match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {}
        }
        for (left, right) in self.pre_release.iter().zip(&other.pre_release) {
            let order = compare_identifiers(left, right);
            if order != Ordering::Equal {
                return order;
            }
        }
        self.pre_release.len().cmp(&other.pre_release.len())
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// SemVer 2.0.0, section 11.4: numeric ones by value and below all others, which compare by ASCII.
fn compare_identifiers(left: &[u8], right: &[u8]) -> Ordering {
    let numeric = |identifier: &[u8]| identifier.iter().all(u8::is_ascii_digit);
    match (numeric(left), numeric(right)) {
        (true, true) => compare_digits(left, right),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(left: &str, right: &str) -> Ordering {
        Version::parse(left).unwrap().compare(&Version::parse(right).unwrap())
    }

    #[test]
    fn missing_parts_are_zero_and_leading_zeros_do_not_count() {
        assert_eq!(order("3.0.0", "3"), Ordering::Equal);
        assert_eq!(order("03.00010", "3.10"), Ordering::Equal);
        assert_eq!(order("3.10", "3.9"), Ordering::Greater);
        assert_eq!(order("3.0.0.0.1", "3"), Ordering::Greater);
        assert_eq!(order("99999999999999999999999999", "100000000000000000000000000"), Ordering::Less);
    }

    #[test]
    fn a_pre_release_is_below_its_release_in_semvers_order() {
        let rising = [
            "1-0",
            "1-9",
            "1-10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "3.1.0-beta",
            "3.1.0",
        ];
        for pair in rising.windows(2) {
            assert_eq!(order(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(order("1.0-a+x", "1-a"), Ordering::Equal);
        assert_eq!(order("1+01.x-y", "1.0"), Ordering::Equal);
        assert_eq!(order("1.0--", "1.0-A"), Ordering::Less);
    }

    #[test]
    fn what_is_not_a_version_is_none() {
        for text in [
            "",
            "v3",
            "3.",
            ".3",
            "3..1",
            " 3",
            "3 ",
            "3.1.0-01",
            "3.1.0-",
            "3.1.0-a..b",
            "3.1-ä",
            "-1",
            "3.x",
            "٣",
            "3_1",
            "3.1.0-a_b",
            "+1",
            "3.1+",
            "3.1-+1",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
        for text in ["3.1.0-0", "3.1.0-0a", "3.1.0--1", "3-0.0"] {
            assert!(Version::parse(text).is_some(), "{text}");
        }
    }
}
