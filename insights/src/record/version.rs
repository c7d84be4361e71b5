//! Versions as applications write them: numbers between dots, then SemVer's pre-release and build.
//!
//! It never guesses: what is not a version by this grammar has no place in the order.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::number::compare_integers;

/// A version: `[0-9]+(\.[0-9]+)*`, optionally `-` and a pre-release, optionally `+` and a build, which is ignored.
#[derive(Clone, Debug)]
pub(super) struct Version<'a> {
    numbers: Cow<'a, [u8]>,
    /// The numbers, when there are few and small ones.
    packed: Option<u64>,
    /// Empty when there is none: a pre-release has at least one character.
    pre_release: Cow<'a, [u8]>,
}

impl<'a> Version<'a> {
    /// Reads a text that is one version and nothing else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut end = 0;
        let mut part_is_empty = true;
        let mut packing = Packing::default();
        for byte in bytes {
            match byte {
                b'0'..=b'9' => {
                    part_is_empty = false;
                    packing.digit(*byte);
                }
                b'.' if !part_is_empty => {
                    part_is_empty = true;
                    packing.dot();
                }
                _ => break,
            }
            end += 1;
        }
        if part_is_empty {
            return None;
        }
        let (numbers, rest) = bytes.split_at(end);
        let (pre_release, rest) = match rest.strip_prefix(b"-") {
            Some(rest) => {
                let end = rest.iter().position(|byte| *byte == b'+').unwrap_or(rest.len());
                let (pre_release, rest) = rest.split_at(end);
                if !between_dots(pre_release).all(is_pre_release_identifier) {
                    return None;
                }
                (pre_release, rest)
            }
            None => (&b""[..], rest),
        };
        let build_is_valid = match rest.strip_prefix(b"+") {
            Some(build) => between_dots(build).all(is_identifier),
            None => rest.is_empty(),
        };
        build_is_valid.then_some(Self {
            numbers: Cow::Borrowed(numbers),
            packed: packing.packed(),
            pre_release: Cow::Borrowed(pre_release),
        })
    }

    /// The same version, which holds its own text.
    pub(super) fn into_owned(self) -> Version<'static> {
        Version {
            numbers: Cow::Owned(self.numbers.into_owned()),
            packed: self.packed,
            pre_release: Cow::Owned(self.pre_release.into_owned()),
        }
    }

    /// Compares two versions; builds make no difference.
    pub(super) fn compare(&self, other: &Version<'_>) -> Ordering {
        self.compare_numbers(other).then_with(|| {
            match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
                (false, false) => compare_pre_releases(&self.pre_release, &other.pre_release),
                (is_release, other_is_release) => is_release.cmp(&other_is_release),
            }
        })
    }

    fn compare_numbers(&self, other: &Version<'_>) -> Ordering {
        if let (Some(packed), Some(other_packed)) = (self.packed, other.packed) {
            return packed.cmp(&other_packed);
        }
        let (mut parts, mut other_parts) = (between_dots(&self.numbers), between_dots(&other.numbers));
        loop {
            let (part, other_part) = (parts.next(), other_parts.next());
            if part.is_none() && other_part.is_none() {
                return Ordering::Equal;
            }
            let order = compare_integers(part.unwrap_or_default(), other_part.unwrap_or_default());
            if order.is_ne() {
                return order;
            }
        }
    }
}

/// Up to four numbers below 65,536, which are in one integer's order when the missing ones are zeros.
#[derive(Clone, Copy, Debug, Default)]
struct Packing {
    /// The numbers before the last dot, 16 bits each.
    before: u64,
    dots: u32,
    number: u64,
    is_large: bool,
}

impl Packing {
    #[inline]
    fn digit(&mut self, digit: u8) {
        self.number = self.number * 10 + u64::from(digit - b'0');
        if self.number > u64::from(u16::MAX) {
            self.is_large = true;
            self.number = 0;
        }
    }

    #[inline]
    fn dot(&mut self) {
        self.before = (self.before | self.number) << 16;
        self.dots += 1;
        self.number = 0;
    }

    /// The numbers as one; none when they do not fit.
    #[inline]
    fn packed(self) -> Option<u64> {
        let missing = DOTS_PACKED.checked_sub(self.dots)?;
        (!self.is_large).then_some((self.before | self.number) << (16 * missing))
    }
}

/// SemVer's order (section 11): identifier by identifier, and more of them are more.
fn compare_pre_releases(left: &[u8], right: &[u8]) -> Ordering {
    let (mut identifiers, mut others) = (between_dots(left), between_dots(right));
    loop {
        let order = match (identifiers.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(identifier), Some(other)) => match (is_numeric(identifier), is_numeric(other)) {
                (true, true) => compare_integers(identifier, other),
                (false, false) => identifier.cmp(other),
                (is_number, other_is_number) => other_is_number.cmp(&is_number),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn is_pre_release_identifier(identifier: &[u8]) -> bool {
    let leads_with_zero = identifier.len() > 1 && identifier.first() == Some(&b'0');
    is_identifier(identifier) && !(leads_with_zero && is_numeric(identifier))
}

fn is_identifier(identifier: &[u8]) -> bool {
    !identifier.is_empty() && identifier.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

fn is_numeric(identifier: &[u8]) -> bool {
    identifier.iter().all(u8::is_ascii_digit)
}

fn between_dots(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'.')
}

/// Dots between four numbers.
const DOTS_PACKED: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version<'_> {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
    }

    #[test]
    fn what_is_not_a_version_has_no_place() {
        for text in [
            "",
            ".",
            "1.",
            ".1",
            "1..2",
            "v1.0",
            "1.0 ",
            " 1.0",
            "1.0-",
            "1.0+",
            "1.0-a..b",
            "1.0-a.",
            "1.0+a..b",
            "3.1.0-01",
            "3.1.0-a.00",
            "1.0-ä",
            "1.0_1",
            "1,0",
            "-1",
            "1.x",
            "latest",
            "1.0-a+b+c",
            "1e5",
            "1.0+ä",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn versions_are_ordered_part_by_part_and_releases_follow_their_pre_releases() {
        let huge = format!("3.{}", "9".repeat(50));
        let ascending = [
            "0",
            "0.0.1",
            "2.9.9",
            "3.0",
            "3.0.0.0.1",
            "3.0.0.1",
            "3.0.1",
            "3.1.0-0",
            "3.1.0-2",
            "3.1.0-10",
            "3.1.0--",
            "3.1.0-1a",
            "3.1.0-alpha",
            "3.1.0-alpha.1",
            "3.1.0-alpha.1.0",
            "3.1.0-alpha.beta",
            "3.1.0-beta",
            "3.1.0-beta.2",
            "3.1.0-beta.11",
            "3.1.0-rc.1",
            "3.1",
            "3.9",
            "3.10",
            "3.65535",
            "3.65536",
            "3.65536.1",
            &huge,
            "10",
            "010.0.1",
        ];
        for (place, text) in ascending.iter().enumerate() {
            for (other_place, other) in ascending.iter().enumerate() {
                assert_eq!(
                    version(text).compare(&version(other)),
                    place.cmp(&other_place),
                    "{text} and {other}"
                );
            }
        }
    }

    #[test]
    fn missing_parts_leading_zeros_and_builds_make_no_difference() {
        for (left, right) in [
            ("3", "3.0.0.0"),
            ("3.0.0", "3.0"),
            ("03.000.1", "3.0.01"),
            ("3.0+build-1.001", "3.0"),
            ("3.0-a+b", "3.0.0-a+c"),
            ("3.0-a-b", "3-a-b"),
            ("3.0-0a", "3.0-0a+00"),
        ] {
            assert_eq!(version(left).compare(&version(right)), Ordering::Equal, "{left} and {right}");
            assert_eq!(
                version(right).into_owned().compare(&version(left)),
                Ordering::Equal,
                "{right} and {left}"
            );
        }
    }
}
