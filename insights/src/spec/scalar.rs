//! What an unquoted YAML scalar means, by the core schema of YAML 1.2.2 (section 10.3.2).
//!
//! Owns the difference between text, numbers, booleans and null. It never looks at quoted scalars: they are text.

/// The meaning of an unquoted scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Boolean(bool),
    /// Saturated where it does not fit.
    Integer(i128),
    Float,
    Text,
}

impl Scalar {
    /// Resolves an unquoted scalar.
    pub(super) fn resolve(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Boolean(true),
            "false" | "False" | "FALSE" => Self::Boolean(false),
            _ => integer(text).map_or_else(|| float_or_text(text), Self::Integer),
        }
    }

    /// What people call it.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float => "a number",
            Self::Text => "text",
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return unsigned(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return unsigned(digits, 8);
    }
    match text.strip_prefix('-') {
        Some(digits) => unsigned(digits, 10).map(|value| -value),
        None => unsigned(text.strip_prefix('+').unwrap_or(text), 10),
    }
}

fn unsigned(digits: &str, radix: u32) -> Option<i128> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    Some(i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the infinities and not-a-number.
fn float_or_text(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_mantissa = all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let is_exponent = exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits));
    if special || (is_mantissa && is_exponent) { Scalar::Float } else { Scalar::Text }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_resolve_as_in_the_core_schema() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(Scalar::resolve(text), Scalar::Null, "{text}");
        }
        for (text, value) in [("0", 0), ("-19", -19), ("+7", 7), ("007", 7), ("0o14", 12), ("0x3A", 58)] {
            assert_eq!(Scalar::resolve(text), Scalar::Integer(value), "{text}");
        }
        for text in ["3.0", "0.", "-0.0", ".5", "+12e03", "-2E+05", ".inf", "-.Inf", ".NAN", "1e3"] {
            assert_eq!(Scalar::resolve(text), Scalar::Float, "{text}");
        }
        for text in
            ["3.0.1", "yes", "No", "0x", "0o8", "1_000", ".", "e5", "1e", "-", "+.nan", "1s", "-0x1", "tRUE"]
        {
            assert_eq!(Scalar::resolve(text), Scalar::Text, "{text}");
        }
        assert_eq!(Scalar::resolve("True"), Scalar::Boolean(true));
    }

    #[test]
    fn a_huge_integer_saturates() {
        assert_eq!(Scalar::resolve(&"9".repeat(60)), Scalar::Integer(i128::MAX));
    }
}
