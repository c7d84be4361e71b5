//! Owns HMAC-SHA-256 by RFC 2104. Never shortens its result.

use sha2::{Digest, Sha256};

/// The 64 lower-case hex digits of the message's HMAC under the key.
pub fn hex(key: &[u8], message: &[u8]) -> String {
    let mut block = if key.len() > BLOCK_BYTES { sha256(&[key]) } else { key.to_vec() };
    block.resize(BLOCK_BYTES, 0);
    let inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).collect();
    let outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).collect();
    let code = sha256(&[&outer, &sha256(&[&inner, message])]);
    code.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

const BLOCK_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231s_test_cases_hold() {
        assert_eq!(
            hex(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
