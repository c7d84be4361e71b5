//! Owns reading one JSON text by RFC 8259, with the place of each top-level member. Never recurses, never
//! builds a tree, and never changes a byte.

use std::ops::Range;

/// What a JSON value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One member of the top-level object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The unescaped name; `None` when it holds a lone surrogate, which no configured name does.
    pub name: Option<String>,
    /// Where the name's opening quote is, in bytes.
    pub name_start: usize,
    /// Where the value stands, in bytes.
    pub value: Range<usize>,
    /// What the value is.
    pub kind: Kind,
}

/// A well-formed JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What the text is as a whole.
    pub kind: Kind,
    /// The members of a top-level object, in the order of the text.
    pub members: Vec<Member>,
}

/// Reads one JSON text. `None` when it is not JSON.
pub fn read(text: &str) -> Option<Document> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    reader.skip_space();
    let mut members = Vec::new();
    let kind = if reader.peek() == Some(b'{') {
        reader.top_object(text, &mut members)?;
        Kind::Object
    } else {
        reader.skip_value()?
    };
    reader.skip_space();
    if reader.peek().is_some() {
        return None;
    }
    Some(Document { kind, members })
}

/// The characters of a JSON string, given with its quotes. `None` when it holds a lone surrogate.
pub fn unescape(quoted: &str) -> Option<String> {
    let inner =
        quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("a string has its quotes");
    let mut plain = String::new();
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match rest.next().expect("the reader checked the escapes") {
            'b' => plain.push('\u{8}'),
            'f' => plain.push('\u{c}'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'u' => {
                let unit = four_hex(&mut rest);
                if (0xd800..0xdc00).contains(&unit) {
                    if rest.next() != Some('\\') || rest.next() != Some('u') {
                        return None;
                    }
                    let low = four_hex(&mut rest);
                    if !(0xdc00..0xe000).contains(&low) {
                        return None;
                    }
                    let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    plain.push(char::from_u32(code)?);
                } else {
                    plain.push(char::from_u32(unit)?);
                }
            }
            itself => plain.push(itself),
        }
    }
    Some(plain)
}

/// Whether the text is exactly one number by JSON's grammar.
pub fn is_number(text: &str) -> bool {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    reader.number().is_some() && reader.peek().is_none()
}

/// A JSON string of the text, with nothing escaped that need not be.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control < ' ' => quoted.extend(format!("\\u{:04x}", u32::from(control)).chars()),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

fn four_hex(characters: &mut std::str::Chars<'_>) -> u32 {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = characters.next().and_then(|character| character.to_digit(16));
        unit = unit * 16 + digit.expect("the reader checked the four digits");
    }
    unit
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over the byte if it is the next one.
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek() != Some(byte) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn top_object(&mut self, text: &str, members: &mut Vec<Member>) -> Option<()> {
        self.take(b'{')?;
        self.skip_space();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.skip_space();
            let name_start = self.at;
            self.string()?;
            let name = unescape(text.get(name_start..self.at)?);
            self.skip_space();
            self.take(b':')?;
            self.skip_space();
            let value_start = self.at;
            let kind = self.skip_value()?;
            members.push(Member { name, name_start, value: value_start..self.at, kind });
            self.skip_space();
            if self.take(b'}').is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    /// Steps over one value of any depth, without white space around it, and says what it was.
    fn skip_value(&mut self) -> Option<Kind> {
        let mut outermost = None;
        let mut open = Vec::new();
        loop {
            self.skip_space();
            let (kind, entered) = self.value_start(&mut open)?;
            outermost.get_or_insert(kind);
            if entered {
                continue;
            }
            // A value has ended: close what ends with it, or go on to its neighbour.
            loop {
                let Some(closer) = open.last().copied() else {
                    return outermost;
                };
                self.skip_space();
                if self.take(closer).is_some() {
                    open.pop();
                    continue;
                }
                self.take(b',')?;
                if closer == b'}' {
                    self.name_and_colon()?;
                }
                break;
            }
        }
    }

    /// Reads a scalar or an empty container whole, or enters a container; true when it entered one.
    fn value_start(&mut self, open: &mut Vec<u8>) -> Option<(Kind, bool)> {
        match self.peek()? {
            b'{' => {
                self.at += 1;
                self.skip_space();
                if self.take(b'}').is_some() {
                    return Some((Kind::Object, false));
                }
                open.push(b'}');
                self.name_and_colon()?;
                Some((Kind::Object, true))
            }
            b'[' => {
                self.at += 1;
                self.skip_space();
                if self.take(b']').is_some() {
                    return Some((Kind::Array, false));
                }
                open.push(b']');
                Some((Kind::Array, true))
            }
            b'"' => self.string().map(|()| (Kind::Text, false)),
            b't' => self.word(b"true").map(|()| (Kind::Boolean, false)),
            b'f' => self.word(b"false").map(|()| (Kind::Boolean, false)),
            b'n' => self.word(b"null").map(|()| (Kind::Null, false)),
            _ => self.number().map(|()| (Kind::Number, false)),
        }
    }

    fn name_and_colon(&mut self) -> Option<()> {
        self.skip_space();
        self.string()?;
        self.skip_space();
        self.take(b':')
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        for byte in word {
            self.take(*byte)?;
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(()),
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            for _ in 0..4 {
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return None;
                                }
                                self.at += 1;
                            }
                        }
                        _ => return None,
                    }
                }
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let _minus = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        if !self.peek()?.is_ascii_digit() {
            return None;
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Some(())
    }
}
