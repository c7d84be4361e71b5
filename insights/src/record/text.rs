//! What JSON strings say: escapes undone and made.
//!
//! It never checks the grammar, which [`json`](super::json) has checked before.

use super::json::{byte, code_unit};

/// A string's escapes name half of a surrogate pair.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoneSurrogate;

/// Appends what a string says; `raw` is what stands between its quotes and obeys the grammar.
pub(super) fn unescape(raw: &str, text: &mut String) -> Result<(), LoneSurrogate> {
    let mut rest = raw;
    while let Some((run, escape)) = rest.split_once('\\') {
        text.push_str(run);
        let mut length = 1;
        let character = match byte(escape.as_bytes(), 0) {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (character, behind) = code_point(escape.as_bytes()).ok_or(LoneSurrogate)?;
                length = behind;
                character
            }
            itself => char::from(itself),
        };
        text.push(character);
        rest = escape.get(length..).unwrap_or("");
    }
    text.push_str(rest);
    Ok(())
}

/// Appends a string with its quotes, escaping nothing that need not be.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The character that `uXXXX` or `uXXXX\uXXXX` names, and how long its escape is; none for a lone surrogate.
fn code_point(escape: &[u8]) -> Option<(char, usize)> {
    let first = code_unit(escape, 1)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 5));
    }
    if first > LAST_HIGH_SURROGATE || byte(escape, 5) != b'\\' || byte(escape, 6) != b'u' {
        return None;
    }
    let low = code_unit(escape, 7)?.checked_sub(FIRST_LOW_SURROGATE).filter(|low| *low < 0x400)?;
    let character = char::from_u32(0x1_0000 + ((first - FIRST_HIGH_SURROGATE) << 10) + low)?;
    Some((character, 11))
}

const FIRST_HIGH_SURROGATE: u32 = 0xd800;
const LAST_HIGH_SURROGATE: u32 = 0xdbff;
const FIRST_LOW_SURROGATE: u32 = 0xdc00;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let mut text = String::new();
        unescape(r#"a\u0000\"\\\/\b\f\n\r\té\u00E9\ud83d\uDE00z"#, &mut text).unwrap();
        assert_eq!(text, "a\0\"\\/\u{8}\u{c}\n\r\téé😀z");
    }

    #[test]
    fn a_lone_surrogate_is_no_text() {
        for raw in [
            r"\ud800",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\ud800",
            r"\udc00\ud800",
            r"\udbffudc00",
            r"\ud800\u0041",
        ] {
            assert_eq!(unescape(raw, &mut String::new()), Err(LoneSurrogate), "{raw}");
        }
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        let mut out = Vec::new();
        write_string("a/\"\\\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a/\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}é\"");
    }
}
