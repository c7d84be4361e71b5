//! What a sink topic holds of one source partition, in its order.

use std::collections::BTreeMap;

use anyhow::Result;
use insights::spec::PipelineSpec;

use crate::command::reader::{Reader, Record};
use crate::pump::deliver::SOURCE;

/// A delivered record and the source offset that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) source_offset: i64,
    pub(super) record: Record,
}

/// A sink's records of one source partition and incarnation.
pub(super) struct Sink {
    reader: Reader,
    partition: i32,
    incarnation: String,
    next: Option<Delivered>,
    /// Where the sink's partition is, for messages.
    place: String,
    /// Whether any record of the source partition was found yet.
    seen: bool,
    /// Records of other incarnations, by name: what a repair left behind.
    pub(super) others: BTreeMap<String, u64>,
    /// Records without a readable `rollcall-source`.
    pub(super) unmarked: Vec<String>,
}

impl Sink {
    /// Opens the sink's partition for a source partition.
    pub(super) fn open(
        spec: &PipelineSpec,
        topic: &str,
        partitions: i32,
        partition: i32,
        incarnation: &str,
    ) -> Result<Self> {
        let own = partition % partitions.max(1);
        let mut sink = Self {
            reader: Reader::open(spec, topic, own, 0)?,
            partition,
            incarnation: incarnation.to_owned(),
            next: None,
            place: format!("{topic}/{own}"),
            seen: false,
            others: BTreeMap::new(),
            unmarked: Vec::new(),
        };
        sink.advance()?;
        Ok(sink)
    }

    /// The source offset of the next record; none at the end.
    pub(super) fn next_offset(&self) -> Option<i64> {
        self.next.as_ref().map(|delivered| delivered.source_offset)
    }

    /// Takes the next record, with its place for messages.
    pub(super) fn take(&mut self) -> Result<Option<(Delivered, String)>> {
        let Some(delivered) = self.next.take() else { return Ok(None) };
        let place = format!("{}@{}", self.place, delivered.record.offset);
        self.advance()?;
        Ok(Some((delivered, place)))
    }

    /// Whether a record of this source offset may have been deleted by the sink's own retention.
    pub(super) fn may_be_deleted(&self, source_offset: i64) -> bool {
        self.reader.start > 0 && !self.seen && self.next_offset().is_none_or(|next| next > source_offset)
    }

    fn advance(&mut self) -> Result<()> {
        self.seen |= self.next.is_some();
        while let Some(record) = self.reader.next()? {
            let Some((incarnation, partition, source_offset)) = source_of(&record) else {
                self.unmarked.push(format!(
                    "{}@{}: a record without a readable `rollcall-source`: somebody else writes to this topic",
                    self.place, record.offset
                ));
                continue;
            };
            if partition != self.partition {
                continue;
            }
            if incarnation != self.incarnation {
                *self.others.entry(incarnation).or_default() += 1;
                continue;
            }
            self.next = Some(Delivered { source_offset, record });
            return Ok(());
        }
        Ok(())
    }
}

/// Reads `<incarnation>:<partition>:<offset>` from the last header of its name.
fn source_of(record: &Record) -> Option<(String, i32, i64)> {
    let name = SOURCE.to_str().ok()?;
    let (_, value) = record.headers.iter().rev().find(|(found, _)| found == name)?;
    let text = std::str::from_utf8(value.as_deref()?).ok()?;
    let mut parts = text.split(':');
    let source = (parts.next()?.to_owned(), parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(source)
}
