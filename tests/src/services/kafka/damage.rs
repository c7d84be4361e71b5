//! Owns damage to a partition's log, of the kinds that clients meet. The broker does not look for it.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::Kafka;

impl Kafka {
    /// Flips a bit behind each place where `needle` stands in a partition's log, as a bad disk does. An error when it
    /// stands nowhere.
    pub fn damage(&mut self, topic: &str, partition: i32, needle: &[u8]) -> Result<()> {
        self.alter(topic, partition, |log| {
            let places = places_of(log, needle);
            for place in &places {
                if let Some(byte) = log.get_mut(place + needle.len()) {
                    *byte ^= 1;
                }
            }
            places.len()
        })
    }

    /// Makes the record whose value begins with `value` claim more bytes than it has, in a batch whose checksum holds, as a
    /// faulty producer does. The value must be 64 to 8,191 bytes long: its length takes two bytes. An error when no value
    /// begins so.
    pub fn break_record(&mut self, topic: &str, partition: i32, value: &[u8]) -> Result<()> {
        self.alter(topic, partition, |log| {
            let places = places_of(log, value);
            for place in &places {
                if let Some(length) = log.get_mut(place - 2..*place) {
                    length.copy_from_slice(&[0xfe, 0x7f]);
                }
            }
            sign_batches(log);
            places.len()
        })
    }

    /// Changes a partition's segments while the broker is stopped; `change` tells how many places it changed.
    fn alter(&mut self, topic: &str, partition: i32, change: impl Fn(&mut [u8]) -> usize) -> Result<()> {
        self.stop()?;
        let folder = self.data().join(format!("{topic}-{partition}"));
        let mut changed = 0;
        for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
            let path = entry.context("failed to read a folder")?.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let mut log = fs::read(&path).context("failed to read a log")?;
            changed += change(&mut log);
            fs::write(&path, log).context("failed to write a log")?;
        }
        ensure!(changed > 0, "the log of {topic}/{partition} holds no such bytes");
        self.start_again()
    }
}

fn places_of(log: &[u8], needle: &[u8]) -> Vec<usize> {
    let found = |(place, window): (usize, &[u8])| (window == needle).then_some(place);
    log.windows(needle.len()).enumerate().filter_map(found).collect()
}

/// Gives each batch the checksum of what it holds: CRC-32C from its attributes on (Kafka's record batch format, version 2).
fn sign_batches(mut log: &mut [u8]) {
    while let Some(Ok(length)) = log.get(8..BATCH_LENGTH_END).map(<[u8; 4]>::try_from) {
        let length = u32::from_be_bytes(length);
        let end = BATCH_LENGTH_END + length as usize;
        if length == 0 || log.len() < end {
            return;
        }
        let (batch, rest) = log.split_at_mut(end);
        if let Some((head, body)) = batch.split_at_mut_checked(CHECKSUM_END)
            && let Some(checksum) = head.get_mut(CHECKSUM_END - 4..)
        {
            checksum.copy_from_slice(&crc32c(body).to_be_bytes());
        }
        log = rest;
    }
}

/// CRC-32C (Castagnoli), bit by bit: RFC 3720, appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

const BATCH_LENGTH_END: usize = 12;
const CHECKSUM_END: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, and the digits that every CRC is checked with.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
