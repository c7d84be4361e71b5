//! What becomes of a field's value on its way to the output: kept, left out, masked or hashed.
//!
//! It never changes what is counted: the filter, dimensions and `unique` see values before it.

use std::io::Write;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::network;
use super::text;
use super::view::Seen;

/// What becomes of a field's value.
#[derive(Clone, Debug)]
pub(super) enum Treatment {
    Keep,
    Drop,
    /// Only the network of an address stays.
    Mask,
    /// The value's HMAC-SHA-256 stays, under the key that is already fed to it.
    Hash(Box<Hmac<Sha256>>),
}

impl Treatment {
    /// Appends a value as JSON.
    pub(super) fn write_json(&self, seen: Seen<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        out.push(b'"');
        if self.write_protected(seen, out) {
            out.push(b'"');
            return;
        }
        out.truncate(before);
        match (self, seen) {
            (Self::Mask, _) | (_, Seen::Absent) => out.extend_from_slice(b"null"),
            (_, Seen::Text(text)) => text::write_string(text, out),
            (_, Seen::Number(raw) | Seen::Boolean(raw) | Seen::Composite(raw)) => {
                out.extend_from_slice(raw.as_bytes());
            }
        }
    }

    /// Appends what mask or hash leave of a value, without quotes; false when they leave nothing, or do not apply.
    pub(super) fn write_protected(&self, seen: Seen<'_>, out: &mut Vec<u8>) -> bool {
        match (self, seen) {
            (Self::Keep | Self::Drop, _) | (_, Seen::Absent) => false,
            (Self::Mask, seen) => match seen.text().and_then(network::mask) {
                Some(address) => {
                    write!(out, "{address}").expect("memory takes every write");
                    true
                }
                None => false,
            },
            (
                Self::Hash(keyed),
                Seen::Text(text) | Seen::Number(text) | Seen::Boolean(text) | Seen::Composite(text),
            ) => {
                let mut code = Hmac::clone(keyed);
                code.update(text.as_bytes());
                for byte in code.finalize().into_bytes() {
                    write!(out, "{byte:02x}").expect("memory takes every write");
                }
                true
            }
        }
    }
}
