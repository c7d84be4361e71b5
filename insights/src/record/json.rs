//! JSON's grammar by RFC 8259: of what kind a value is, and where it ends.
//!
//! It never builds a tree, never recurses, and never looks for meaning in what it skips.

use wide::u8x16;

/// What kind of value stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string without a backslash: its text is what stands between the quotes.
    Plain,
    /// A string with at least one escape.
    Escaped,
    /// An array or an object.
    Composite,
}

/// The byte at a place; past the end 0, which no rule of the grammar accepts.
#[inline]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The first place from `at` on that is not white space.
#[inline]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(byte(bytes, at), b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// The kind of the value that begins at `at`, and where it ends; none when there is no whole value. `open` is only
/// working space.
#[inline]
pub(super) fn value(bytes: &[u8], at: usize, open: &mut Vec<bool>) -> Option<(Kind, usize)> {
    match byte(bytes, at) {
        b'"' => string(bytes, at),
        b'-' | b'0'..=b'9' => Some((Kind::Number, number(bytes, at)?)),
        b'{' | b'[' => Some((Kind::Composite, composite(bytes, at, open)?)),
        b't' => literal(bytes, at, b"true", Kind::Boolean),
        b'f' => literal(bytes, at, b"false", Kind::Boolean),
        b'n' => literal(bytes, at, b"null", Kind::Null),
        _ => None,
    }
}

/// [`Kind::Plain`] or [`Kind::Escaped`], and the place behind the closing quote of the string that begins at `at`. Lone
/// surrogates are legal here: they are no matter of the grammar.
#[inline]
pub(super) fn string(bytes: &[u8], at: usize) -> Option<(Kind, usize)> {
    let end = end_of_run(bytes, at + 1);
    match byte(bytes, end) {
        b'"' => Some((Kind::Plain, end + 1)),
        b'\\' => escaped_string(bytes, end),
        _ => None,
    }
}

/// [`Kind::Escaped`], and the place behind the closing quote of the string whose first backslash is at `at`.
#[cold]
fn escaped_string(bytes: &[u8], mut at: usize) -> Option<(Kind, usize)> {
    while byte(bytes, at) == b'\\' {
        let behind = match byte(bytes, at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
            b'u' => {
                code_unit(bytes, at + 2)?;
                at + 6
            }
            _ => return None,
        };
        at = end_of_run(bytes, behind);
    }
    (byte(bytes, at) == b'"').then_some((Kind::Escaped, at + 1))
}

/// The place behind the number that begins at `at`.
#[inline]
pub(super) fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    if byte(bytes, at) == b'-' {
        at += 1;
    }
    at = if byte(bytes, at) == b'0' { at + 1 } else { digits(bytes, at)? };
    if byte(bytes, at) == b'.' {
        at = digits(bytes, at + 1)?;
    }
    if matches!(byte(bytes, at), b'e' | b'E') {
        at += 1;
        if matches!(byte(bytes, at), b'+' | b'-') {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// The place behind the array or object that begins at `at`. `open` says of each open container whether it is an
/// object; it takes a byte a level, so that hostile depth costs no more than the record itself.
fn composite(bytes: &[u8], mut at: usize, open: &mut Vec<bool>) -> Option<usize> {
    open.clear();
    loop {
        at = match byte(bytes, at) {
            b'{' => {
                open.push(true);
                let inside = skip_space(bytes, at + 1);
                if byte(bytes, inside) != b'}' {
                    at = name(bytes, inside)?;
                    continue;
                }
                inside
            }
            b'[' => {
                open.push(false);
                let inside = skip_space(bytes, at + 1);
                if byte(bytes, inside) != b']' {
                    at = inside;
                    continue;
                }
                inside
            }
            b'"' => string(bytes, at)?.1,
            b't' => literal(bytes, at, b"true", Kind::Boolean)?.1,
            b'f' => literal(bytes, at, b"false", Kind::Boolean)?.1,
            b'n' => literal(bytes, at, b"null", Kind::Null)?.1,
            _ => number(bytes, at)?,
        };
        loop {
            at = skip_space(bytes, at);
            match (byte(bytes, at), *open.last()?) {
                (b',', true) => {
                    at = name(bytes, skip_space(bytes, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = skip_space(bytes, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    at += 1;
                    open.pop();
                    if open.is_empty() {
                        return Some(at);
                    }
                }
                _ => return None,
            }
        }
    }
}

/// The place of the value whose member's name begins at `at`.
fn name(bytes: &[u8], at: usize) -> Option<usize> {
    if byte(bytes, at) != b'"' {
        return None;
    }
    let colon = skip_space(bytes, string(bytes, at)?.1);
    (byte(bytes, colon) == b':').then(|| skip_space(bytes, colon + 1))
}

#[inline]
fn literal(bytes: &[u8], at: usize, word: &[u8], kind: Kind) -> Option<(Kind, usize)> {
    let end = at + word.len();
    (bytes.get(at..end)? == word).then_some((kind, end))
}

/// The place behind one or more digits.
#[inline]
fn digits(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    (count > 0).then_some(at + count)
}

/// The first place from `at` on that holds a quote, a backslash or a control character, or the end. Sixteen bytes at a
/// time: most of a record lies inside strings, and most of them end within the first sixteen.
#[inline]
fn end_of_run(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let ends = ends_in(chunk);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += CHUNK;
    }
    let Some(chunk) = bytes.last_chunk() else {
        let ends = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
        let rest = bytes.get(at..).unwrap_or_default();
        return at + rest.iter().position(ends).unwrap_or(rest.len());
    };
    // The last chunk begins before `at`; what would follow it is the end.
    let passed = at + CHUNK - bytes.len();
    at + ((ends_in(chunk) | 1 << CHUNK) >> passed).trailing_zeros() as usize
}

/// A bit for each byte, the first one's the lowest, that is a quote, a backslash or a control character.
#[inline]
fn ends_in(chunk: &[u8; CHUNK]) -> u32 {
    let chunk = u8x16::new(*chunk);
    let controls = chunk.min(u8x16::splat(0x1f)).simd_eq(chunk);
    let quotes = chunk.simd_eq(u8x16::splat(b'"'));
    let backslashes = chunk.simd_eq(u8x16::splat(b'\\'));
    (controls | quotes | backslashes).to_bitmask()
}

/// The number that four hex digits name.
pub(super) fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let mut unit = 0;
    for &digit in bytes.get(at..at + 4)? {
        unit = unit * 16 + char::from(digit).to_digit(16)?;
    }
    Some(unit)
}

/// Bytes that are looked at together.
const CHUNK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> bool {
        matches!(value(text.as_bytes(), 0, &mut Vec::new()), Some((_, end)) if end == text.len())
    }

    #[test]
    fn numbers_follow_the_grammar() {
        for good in ["0", "-0", "10", "1.50", "0.0", "1e5", "1E+05", "-1.2e-3", "1e999999999999"] {
            assert!(whole(good), "{good}");
        }
        for bad in [
            "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1", "1_0", "Infinity", "NaN", "- 1", "1 ",
        ] {
            assert!(!whole(bad), "{bad}");
        }
    }

    #[test]
    fn strings_follow_the_grammar() {
        for good in
            [r#""""#, r#""\"\\\/\b\f\n\r\t\u00e9\ud800""#, "\"\u{7f}é\u{2028}\"", r#""12345678\n12345678""#]
        {
            assert!(whole(good), "{good}");
        }
        for bad in [
            "\"",
            "\"a",
            "\"a\u{1}\"",
            "\"12345678\u{1f}\"",
            "\"\n\"",
            "\"\0\"",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u12"#,
            r#""\"#,
        ] {
            assert!(!whole(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_place_in_a_chunk_ends_a_run() {
        for length in 0..40 {
            for stop in ['"', '\\', '\u{1f}', '\0'] {
                let text = format!(
                    "{}{stop}\"\\\u{1}{}",
                    "é ~".chars().cycle().take(length).collect::<String>(),
                    "x".repeat(9)
                );
                let expected = text.find(stop).unwrap();
                assert_eq!(end_of_run(text.as_bytes(), 0), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn containers_are_skipped_at_any_depth() {
        let deep = 100_000;
        assert!(whole(&format!("{}{}", "[".repeat(deep), "]".repeat(deep))));
        assert!(whole(&format!("{}1{}", "{\"a\":[".repeat(deep), "]}".repeat(deep))));
        assert!(!whole(&format!("{}{}", "[".repeat(deep), "]".repeat(deep - 1))));
        for good in ["[]", "{}", "[ ]", "{ }", "[1,\t{\"a\" : [null,true,false,\"x\"]}\r\n]"] {
            assert!(whole(good), "{good}");
        }
        for bad in [
            "[",
            "{",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "[1}",
            "{\"a\":1]",
            "[1 2]",
            "[tru]",
            "{a:1}",
        ] {
            assert!(!whole(bad), "{bad}");
        }
    }
}
