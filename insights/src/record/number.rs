//! Numbers by JSON's grammar, compared and floored exactly, whatever their size and exponent.
//!
//! It never rounds, and never turns an exponent into memory.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::json;

/// A number as the text that it was read from: ± 0.`head``tail` × 10^magnitude, without leading zeros.
#[derive(Clone, Debug)]
pub(super) struct Number<'a> {
    negative: bool,
    head: Cow<'a, [u8]>,
    tail: Cow<'a, [u8]>,
    magnitude: Magnitude<'a>,
}

impl<'a> Number<'a> {
    /// Reads a text that is one number by JSON's grammar and nothing else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        if json::number(bytes, 0) != Some(bytes.len()) {
            return None;
        }
        let negative = bytes.first() == Some(&b'-');
        let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
        let (mantissa, exponent) = split(unsigned, |byte| matches!(byte, b'e' | b'E'));
        let (integer, fraction) = split(mantissa, |byte| byte == b'.');
        let (head, tail, shift) = if integer == b"0" {
            let significant = without_leading_zeros(fraction);
            (significant, &b""[..], -length(fraction) + length(significant))
        } else {
            (integer, fraction, length(integer))
        };
        let (head, tail) = (Cow::Borrowed(head), Cow::Borrowed(tail));
        Some(Self { negative, head, tail, magnitude: Magnitude::new(exponent, shift) })
    }

    /// The same number, which holds its own text.
    pub(super) fn into_owned(self) -> Number<'static> {
        Number {
            negative: self.negative,
            head: Cow::Owned(self.head.into_owned()),
            tail: Cow::Owned(self.tail.into_owned()),
            magnitude: self.magnitude.into_owned(),
        }
    }

    /// Compares two numbers exactly.
    pub(super) fn compare(&self, other: &Number<'_>) -> Ordering {
        match (self.sign(), other.sign()) {
            (1, 1) => self.compare_size(other),
            (-1, -1) => other.compare_size(self),
            (sign, other_sign) => sign.cmp(&other_sign),
        }
    }

    /// The integer part of a number that is not negative and below 10^`digits_max`.
    pub(super) fn floor(&self, digits_max: u8) -> Option<u64> {
        match self.sign() {
            0 => return Some(0),
            1 => {}
            _ => return None,
        }
        let length = match &self.magnitude {
            Magnitude::Small(magnitude) if *magnitude > i64::from(digits_max) => return None,
            Magnitude::Small(magnitude) => usize::try_from(*magnitude).unwrap_or(0),
            Magnitude::Large { negative: false, .. } => return None,
            Magnitude::Large { negative: true, .. } => 0,
        };
        let mut integer: u64 = 0;
        for digit in self.digits().chain(std::iter::repeat(b'0')).take(length) {
            integer = integer.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        }
        Some(integer)
    }

    fn sign(&self) -> i8 {
        if self.digits().all(|digit| digit == b'0') {
            0
        } else if self.negative {
            -1
        } else {
            1
        }
    }

    /// Compares two numbers other than zero without their signs.
    fn compare_size(&self, other: &Number<'_>) -> Ordering {
        self.magnitude.compare(&other.magnitude).then_with(|| {
            let (mut digits, mut other_digits) = (self.digits(), other.digits());
            loop {
                let (digit, other_digit) = (digits.next(), other_digits.next());
                if digit.is_none() && other_digit.is_none() {
                    return Ordering::Equal;
                }
                let order = digit.unwrap_or(b'0').cmp(&other_digit.unwrap_or(b'0'));
                if order.is_ne() {
                    return order;
                }
            }
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.head.iter().chain(self.tail.iter()).copied()
    }
}

/// Where the decimal point stands.
#[derive(Clone, Debug)]
enum Magnitude<'a> {
    /// At this many digits.
    Small(i64),
    /// At an exponent that is too long to be reckoned with, moved by `shift`.
    Large { negative: bool, exponent: Cow<'a, [u8]>, shift: i64 },
}

impl<'a> Magnitude<'a> {
    fn new(exponent: &'a [u8], shift: i64) -> Self {
        let negative = exponent.first() == Some(&b'-');
        let unsigned = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let digits = without_leading_zeros(unsigned);
        if digits.len() > SMALL_INTEGER_DIGITS {
            return Self::Large { negative, exponent: Cow::Borrowed(digits), shift };
        }
        let size = small_integer(digits);
        Self::Small(shift + if negative { -size } else { size })
    }

    fn into_owned(self) -> Magnitude<'static> {
        match self {
            Self::Small(magnitude) => Magnitude::Small(magnitude),
            Self::Large { negative, exponent, shift } => {
                Magnitude::Large { negative, exponent: Cow::Owned(exponent.into_owned()), shift }
            }
        }
    }

    fn compare(&self, other: &Magnitude<'_>) -> Ordering {
        if let (Self::Small(magnitude), Magnitude::Small(other_magnitude)) = (self, other) {
            return magnitude.cmp(other_magnitude);
        }
        match (self.decimal(), other.decimal()) {
            ((false, size), (false, other_size)) => compare_integers(&size, &other_size),
            ((true, size), (true, other_size)) => compare_integers(&other_size, &size),
            ((true, _), (false, _)) => Ordering::Less,
            ((false, _), (true, _)) => Ordering::Greater,
        }
    }

    /// Whether it is negative, and its decimal digits.
    fn decimal(&self) -> (bool, Vec<u8>) {
        match self {
            Self::Small(magnitude) => (*magnitude < 0, magnitude.unsigned_abs().to_string().into_bytes()),
            Self::Large { negative, exponent, shift } => {
                (*negative, add(exponent, if *negative { -shift } else { *shift }))
            }
        }
    }
}

/// Compares two integers of any length by their decimal digits, whatever zeros lead.
pub(super) fn compare_integers(digits: &[u8], other: &[u8]) -> Ordering {
    if digits.len().max(other.len()) <= SMALL_INTEGER_DIGITS {
        return small_integer(digits).cmp(&small_integer(other));
    }
    let (digits, other) = (without_leading_zeros(digits), without_leading_zeros(other));
    digits.len().cmp(&other.len()).then_with(|| digits.cmp(other))
}

/// Adds to an integer that is larger than what may be taken away.
fn add(digits: &[u8], addend: i64) -> Vec<u8> {
    let mut sum = Vec::with_capacity(digits.len() + 1);
    let mut carry = addend;
    for digit in digits.iter().rev() {
        let total = i64::from(digit - b'0') + carry;
        sum.push(decimal_digit(total.rem_euclid(10)));
        carry = total.div_euclid(10);
    }
    while carry > 0 {
        sum.push(decimal_digit(carry % 10));
        carry /= 10;
    }
    sum.reverse();
    sum
}

fn small_integer(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |integer, digit| integer * 10 + i64::from(digit - b'0'))
}

fn decimal_digit(value: i64) -> u8 {
    b'0' + u8::try_from(value).expect("a remainder by 10 is below 10")
}

/// What stands before and behind the first byte that is the one looked for.
fn split(bytes: &[u8], separator: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |byte| separator(*byte));
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).expect("no slice is longer than an i64 counts")
}

/// Up to here an integer is reckoned with as such: an exponent and the length of a record add up without overflow.
const SMALL_INTEGER_DIGITS: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn what_jsons_grammar_refuses_is_no_number() {
        for text in ["", " 1", "1 ", "+1", "01", "1.", ".1", "0x10", "1_000", "1e", "one", "1,5", "١"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn numbers_are_ordered_exactly() {
        let huge = "9".repeat(40);
        let ascending = [
            format!("-1e{huge}"),
            "-1e99999999999999999999".into(),
            "-10".into(),
            "-9.99".into(),
            "-1e-5".into(),
            format!("-1e-{huge}"),
            "0".into(),
            format!("1e-{huge}"),
            "1e-99999999999999999999".into(),
            "0.00001".into(),
            "0.1".into(),
            "0.10000000000000000000000000000000000000001".into(),
            "9".into(),
            "9007199254740992".into(),
            "9007199254740993".into(),
            "1e17".into(),
            "1e99999999999999999".into(),
            "1e100000000000000000".into(),
            format!("1e{huge}"),
            format!("1.1e{huge}"),
            format!("100e{huge}"),
        ];
        for (place, text) in ascending.iter().enumerate() {
            for (other_place, other) in ascending.iter().enumerate() {
                assert_eq!(
                    number(text).compare(&number(other)),
                    place.cmp(&other_place),
                    "{text} and {other}"
                );
            }
        }
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (left, right) in [
            ("0", "-0"),
            ("0", "0e99999999"),
            ("-0.000", "0E-99999999999999999999999"),
            ("1", "1.000"),
            ("1", "10e-1"),
            ("1", "0.001E+3"),
            ("120", "1.2e0002"),
            ("1e99999999999999999999", "10e99999999999999999998"),
            ("1e100000000000000000", "10e99999999999999999"),
            ("0.01e-99999999999999999999", "1e-100000000000000000001"),
            ("100e-100000000000000000000", "1e-99999999999999999998"),
        ] {
            assert_eq!(number(left).compare(&number(right)), Ordering::Equal, "{left} and {right}");
            assert_eq!(
                number(right).into_owned().compare(&number(left)),
                Ordering::Equal,
                "{right} and {left}"
            );
        }
    }

    #[test]
    fn the_fraction_is_floored() {
        let huge = "9".repeat(200);
        for (text, expected) in [
            ("0", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("1.999", Some(1)),
            ("0.999999e3", Some(999)),
            ("12345e-2", Some(123)),
            ("1.2e3", Some(1200)),
            ("999999", Some(999_999)),
            ("1000000", None),
            ("1e999999999999", None),
            ("1e-999999999999", Some(0)),
            ("-1", None),
        ] {
            assert_eq!(number(text).floor(6), expected, "{text}");
        }
        assert_eq!(number(&format!("1e{huge}")).floor(6), None);
        assert_eq!(number(&format!("1e-{huge}")).floor(6), Some(0));
    }
}
