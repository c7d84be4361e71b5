//! Owns how an input is changed: bytes, numbers, pieces of itself and of others, and words that its readers know.
//! It never looks at what an input means.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

/// Changes an input in one place.
pub(super) fn change(random: &mut StdRng, input: &mut Vec<u8>, corpus: &[Vec<u8>], target: &str) {
    let at = random.random_range(0..=input.len());
    match random.random_range(0..9) {
        0 => set(random, input, at),
        1 => input.insert(at, byte(random)),
        2 => drop(input.drain(at..end(random, at, input.len()))),
        3 => {
            let piece = input.get(at..end(random, at, input.len())).unwrap_or_default().to_vec();
            let to = random.random_range(0..=input.len());
            input.splice(to..to, piece);
        }
        4 => {
            let other = corpus.choose(random).map(Vec::as_slice).unwrap_or_default();
            let from = random.random_range(0..=other.len());
            let piece = other.get(from..end(random, from, other.len())).unwrap_or_default().to_vec();
            input.splice(at..end(random, at, input.len()), piece);
        }
        5 => {
            let digits = number(random);
            input.splice(at..end(random, at, input.len()).min(at + 4), digits.into_bytes());
        }
        6 if target == "filter" => compare_with_itself(input),
        6 => {
            let mut lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
            let (one, two) = (random.random_range(0..lines.len()), random.random_range(0..lines.len()));
            lines.swap(one, two);
            *input = lines.join(&b'\n');
        }
        _ => {
            let words = match target {
                "decoder" => DECODER,
                "filter" => FILTER,
                _ => CONFIGURATION,
            };
            let word = words.choose(random).copied().unwrap_or_default();
            let cut =
                if random.random_bool(0.3) { end(random, at, input.len()).min(at + word.len()) } else { at };
            input.splice(at..cut, word.bytes());
        }
    }
    input.truncate(BYTES_MAX);
}

/// Gives the field the requirement's first value: what differs by one more change is near the border.
fn compare_with_itself(input: &mut Vec<u8>) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (operator, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let value = values.split(|byte| *byte == b'\t').next().unwrap_or_default();
    *input = [operator, b"\n", values, b"\n\"", value, b"\""].concat();
}

fn set(random: &mut StdRng, input: &mut [u8], at: usize) {
    let value = byte(random);
    let flips = random.random_bool(0.3);
    let bit = random.random_range(0..8);
    if let Some(byte) = input.get_mut(at) {
        *byte = if flips { *byte ^ (1 << bit) } else { value };
    }
}

fn byte(random: &mut StdRng) -> u8 {
    if random.random_bool(0.8) { BYTES.choose(random).copied().unwrap_or(b'0') } else { random.random() }
}

/// Mostly near.
fn end(random: &mut StdRng, from: usize, length: usize) -> usize {
    let most = if random.random_bool(0.8) { 8 } else { length };
    (from + random.random_range(0..=most)).min(length)
}

fn number(random: &mut StdRng) -> String {
    let digits = random.random_range(1..=22);
    let mut text = String::new();
    for _ in 0..digits {
        text.push(char::from(
            b'0' + *[0, 0, 1, 9, 9, random.random_range(0..10)].choose(random).unwrap_or(&0),
        ));
        if random.random_bool(0.05) {
            text.push(*['.', 'e', '-', '+'].choose(random).unwrap_or(&'.'));
        }
    }
    text
}

const BYTES: &[u8] = b"{}[]:,\"\\/ \t\r\n\0\x1f0123456789+-.eEtrufalsn~_aA\x7f\x80\xc3\xff#&*!|>'%@`$";

const DECODER: &[&str] = &[
    "\"timestamp\":",
    "\"user_id\":",
    "\"app_version\":",
    "\"device_type\":",
    "\"locale\":",
    "\"ip\":",
    "\"extra\":",
    "\"t\":",
    "\"v\":",
    "\"u\":",
    "\"a\":",
    "\"b\":",
    "\"d\":",
    "\"é\":",
    "null",
    "true",
    "false",
    "\"\"",
    "\"~x\"",
    "\"android\"",
    "\"ANDROID\"",
    "\"3.0\"",
    "\"3.0.1\"",
    "\"3.1.0-beta\"",
    "\\u0061",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\u0000",
    "\\\"",
    "1700000000",
    "\"1700000000\"",
    "1.7e9",
    "1700000000.5",
    "-0",
    "1e400",
    "253402300799",
    "946684800",
    "{}",
    "[]",
    "[{\"a\":1}]",
    "\"10.1.2.3\"",
    "\"2001:db8:1:2::3\"",
    "\"::ffff:10.0.0.1\"",
    "é",
    "\u{10ffff}",
    ",",
    ":",
];

const FILTER: &[&str] = &[
    "In",
    "NotIn",
    "Exists",
    "DoesNotExist",
    "Gt",
    "Ge",
    "Lt",
    "Le",
    "InNetwork",
    "NotInNetwork",
    "\n",
    "\t",
    "null",
    "true",
    "\"3.0\"",
    "3.0",
    "3.10",
    "03",
    "3.0.0-rc.1",
    "-beta",
    "+build.7",
    "-0",
    "0.0",
    "1e2",
    "100",
    "1E-2",
    "\"\"",
    "[]",
    "{}",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "\"10.1.2.3\"",
    "\"::ffff:10.1.2.3\"",
    "::1",
    "android",
    "ANDROID",
    "É",
    "é",
    "~",
    "9007199254740993",
    "18446744073709551616",
    "-",
    ".",
    "e",
    "\\u0031",
    "v",
];

const CONFIGURATION: &[&str] = &[
    "\n",
    "\n  ",
    "\n- ",
    ": ",
    "- ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    " #",
    "&a ",
    "*a",
    "!!str ",
    "!!int ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "~",
    "${MAX}",
    "$${",
    "${file:/secret}",
    "null",
    "0x32",
    "0o7",
    ".inf",
    "1_000",
    "true",
    "yes",
    "revision",
    "pipeline",
    "kafka",
    "brokers",
    "group",
    "tls",
    "sasl",
    "properties",
    "redis",
    "url",
    "source",
    "topic",
    "startFrom",
    "Latest",
    "timestampUnit",
    "Milliseconds",
    "maxRecordBytes",
    "fields",
    "required",
    "defaults",
    "filter",
    "field",
    "operator",
    "values",
    "output",
    "key",
    "drop",
    "mask",
    "hash",
    "hashKey",
    "deadLetter",
    "insights",
    "dimensions",
    "fold",
    "Lower",
    "unique",
    "timeZone",
    "Europe/Berlin",
    "maxValues",
    "publishEvery",
    "250ms",
    "1s",
    "redis-sentinel://a,b/m",
    "rediss://u:p%40@h:1/2",
    "redis-cluster://[::1]:7",
    "[::1]:9",
    "é",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
];

/// Longer inputs find no more, and take longer.
const BYTES_MAX: usize = 8192;
