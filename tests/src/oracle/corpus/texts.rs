//! Owns the texts of the nasty records that need no program to write. Never says more about them than what
//! they are not.

/// Values that are not JSON.
pub(super) const NOT_JSON: &[&str] = &[
    "",
    " ",
    "\u{feff}{}",
    "{",
    "}",
    "{}{}",
    "{} x",
    "{\"a\":1,}",
    "{,}",
    "{'a':1}",
    "{\"a\" 1}",
    "NaN",
    "nul",
    "truely",
    "01",
    "-",
    "1.",
    "\"a",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\u{1}\"",
    "[1,]",
    "\u{c}{}",
    "\u{a0}{}",
    "{\"a\":[}]}",
    "// {}\n{}",
    "{\"a\":+1}",
    "{\"a\":1}\0",
];

/// JSON that is no object.
pub(super) const NOT_AN_OBJECT: &[&str] =
    &["[]", "0", "-0.0e-0", "null", "true", "\"{}\"", "[{\"a\":1}]", " 1 ", "\"\\ud800\""];

/// Values that are not UTF-8.
pub(super) const NOT_UTF8: &[&[u8]] =
    &[b"\xff", b"{\"a\":\"\xc0\xaf\"}", b"{\"a\":\"\xed\xa0\x80\"}", b"\xf4\x90\x80\x80", b"{}\xc3"];

/// JSON of valid timestamps.
pub(super) const TIMES: &[&str] =
    &["946684800", "\"946684800\"", "946684800.0", "9466848e2", "\"0.9466848E+9\"", "94668480000e-2"];

/// JSON of timestamps before 2000, or far too late.
pub(super) const TIMES_OUT_OF_RANGE: &[&str] =
    &["946684799", "946684799.999999999", "-0", "0", "-1", "1e-400", "\"-946684800\"", "1e99999999999"];

/// Texts that are no numbers.
pub(super) const NOT_TIMES: &[&str] =
    &["abc", " 1", "1 ", "+1", "1_0", "0x10", "01", "1.", ".5", "1e", "--1", "2023-11-14 22:13:20", "١"];

/// Versions above 3.0.
pub(super) const VERSIONS_ABOVE: &[&str] =
    &["3.0.1", "3.00001", "3.0.0.1", "3.10", "3.1.0-beta", "4-0", "99999999999999999999", "3.1+x"];

/// Versions not above 3.0, and texts that are almost versions.
pub(super) const VERSIONS_NOT_ABOVE: &[&str] =
    &["3.0", "3", "3.0.0", "03.000", "3.0.0-rc", "2.99", "3.0.1.", "v3.1", " 3.1", "3.1 ", "3.1.0-01"];

/// More texts that are no versions.
pub(super) const NOT_VERSIONS: &[&str] =
    &["3,1", "3.1.0-", "3.x", "latest", "~3.1", "3.1-a..b", "-3.1", "3.1\\u0000", "٣.١"];
