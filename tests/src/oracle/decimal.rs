//! Owns decimal numbers of any size, exactly as JSON's grammar writes them. Never rounds and never overflows.

use std::cmp::Ordering;

use super::json;

/// A number: `0.d1d2d3…` times ten to the `magnitude`, with no zero at either end of the digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Each 0 to 9; none at all for zero.
    digits: Vec<u8>,
    magnitude: Integer,
}

/// A whole number as a sign and decimal digits, the first of them not 0.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Integer {
    negative: bool,
    digits: Vec<u8>,
}

impl Decimal {
    /// Reads exactly one JSON number; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if !json::is_number(text) {
            return None;
        }
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let leading_zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading_zeros);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { negative: false, digits, magnitude: Integer::small(0) });
        }
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading_zeros).ok()?;
        let magnitude = Integer::parse(exponent).plus(&Integer::small(point));
        Some(Self { negative, digits, magnitude })
    }

    /// The largest whole number that is not above this one; `None` when it has more than 18 digits.
    pub fn floor(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        if self.magnitude.compare(&Integer::small(0)) != Ordering::Greater {
            return Some(if self.negative { -1 } else { 0 });
        }
        let mut whole_digits = 0;
        for digit in &self.magnitude.digits {
            whole_digits = whole_digits * 10 + usize::from(*digit);
            if whole_digits > 18 {
                return None;
            }
        }
        let mut whole = 0_i64;
        for index in 0..whole_digits {
            whole = whole * 10 + i64::from(self.digits.get(index).copied().unwrap_or(0));
        }
        let has_fraction = self.digits.len() > whole_digits;
        Some(match (self.negative, has_fraction) {
            (false, _) => whole,
            (true, false) => -whole,
            (true, true) => -whole - 1,
        })
    }

    /// The order of the two numbers' values.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.sign(), other.sign()) {
            (left, right) if left != right => left.cmp(&right),
            (0, _) => Ordering::Equal,
            (1, _) => self.compare_size(other),
            _ => other.compare_size(self),
        }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        }
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        self.magnitude.compare(&other.magnitude).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Integer {
    fn small(value: i64) -> Self {
        Self::parse(&value.to_string())
    }

    /// Reads an optional sign and digits, with any leading zeros.
    fn parse(text: &str) -> Self {
        let negative = text.starts_with('-');
        let digits: Vec<u8> = text
            .trim_start_matches(['-', '+'])
            .trim_start_matches('0')
            .bytes()
            .map(|byte| byte - b'0')
            .collect();
        Self { negative: negative && !digits.is_empty(), digits }
    }

    fn plus(&self, other: &Self) -> Self {
        if self.negative == other.negative {
            return Self { negative: self.negative, digits: add(&self.digits, &other.digits) };
        }
        match compare_digits(&self.digits, &other.digits) {
            Ordering::Equal => Self { negative: false, digits: Vec::new() },
            Ordering::Greater => {
                Self { negative: self.negative, digits: subtract(&self.digits, &other.digits) }
            }
            Ordering::Less => {
                Self { negative: other.negative, digits: subtract(&other.digits, &self.digits) }
            }
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => compare_digits(&self.digits, &other.digits),
            (true, true) => compare_digits(&other.digits, &self.digits),
        }
    }
}

/// The order of two digit strings without leading zeros.
pub(super) fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn add(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut reversed = Vec::new();
    let mut carry = 0;
    for place in 0..left.len().max(right.len()) {
        let sum = digit_at(left, place) + digit_at(right, place) + carry;
        reversed.push(sum % 10);
        carry = sum / 10;
    }
    reversed.push(carry);
    from_reversed(reversed)
}

/// `larger - smaller`.
fn subtract(larger: &[u8], smaller: &[u8]) -> Vec<u8> {
    let mut reversed = Vec::new();
    let mut borrow = 0;
    for place in 0..larger.len() {
        let difference = 10 + digit_at(larger, place) - digit_at(smaller, place) - borrow;
        reversed.push(difference % 10);
        borrow = u8::from(difference < 10);
    }
    from_reversed(reversed)
}

/// The digit at a place counted from the end.
fn digit_at(digits: &[u8], place: usize) -> u8 {
    digits.iter().rev().nth(place).copied().unwrap_or(0)
}

fn from_reversed(mut reversed: Vec<u8>) -> Vec<u8> {
    while reversed.last() == Some(&0) {
        reversed.pop();
    }
    reversed.reverse();
    reversed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(text: &str) -> Option<i64> {
        Decimal::parse(text).unwrap().floor()
    }

    #[test]
    fn a_floor_goes_down_and_is_exact() {
        assert_eq!(floor("0.00000000017e19"), Some(1_700_000_000));
        assert_eq!(floor("1700000000.999999999999999999999999999"), Some(1_700_000_000));
        assert_eq!(floor("17E+8"), Some(1_700_000_000));
        assert_eq!(floor("-1.5"), Some(-2));
        assert_eq!(floor("-2.0"), Some(-2));
        assert_eq!(floor("-0"), Some(0));
        assert_eq!(floor("-1e-99999999999999999999999999"), Some(-1));
        assert_eq!(floor("0e99999999999999999999999999"), Some(0));
        assert_eq!(floor("1e99999999999999999999999999"), None);
        assert_eq!(floor("999999999999999999"), Some(999_999_999_999_999_999));
        assert_eq!(floor("1000000000000000000"), None);
    }

    #[test]
    fn only_what_json_calls_a_number_is_one() {
        for text in
            ["", " 1", "1 ", "+1", "01", "1.", ".1", "1e", "1e+", "0x1", "1_0", "-", "--1", "NaN", "١"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_compare_by_value() {
        let order =
            |left: &str, right: &str| Decimal::parse(left).unwrap().compare(&Decimal::parse(right).unwrap());
        assert_eq!(order("1.0", "1"), Ordering::Equal);
        assert_eq!(order("100", "1e2"), Ordering::Equal);
        assert_eq!(order("-0", "0.0e5"), Ordering::Equal);
        assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(order("0.1", "0.10000000000000000000001"), Ordering::Less);
        assert_eq!(order("-10", "-9"), Ordering::Less);
        assert_eq!(order("1e100000000000000000000001", "9e100000000000000000000000"), Ordering::Greater);
        assert_eq!(order("1e-100000000000000000000001", "9e-100000000000000000000000"), Ordering::Less);
        assert_eq!(order("0.1e100000000000000000000001", "1e100000000000000000000000"), Ordering::Equal);
    }
}
