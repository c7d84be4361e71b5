//! The merged insights: what all partitions together say, as people and programs read it.
//!
//! Owns the merge of partition states and the published document. It never reads a store.
//!
//! A publisher asks [`Merge::wanted`] for each partition whose manifest it has read, fetches that, hands it to
//! [`Merge::update`], and publishes [`Merge::document`]. States of different partitions merge in any order.

mod calendar;
mod gaps;
mod piece;
mod publication;
mod ranking;
#[cfg(test)]
mod tests;
mod zones;

use std::collections::BTreeMap;

use chrono_tz::Tz;

use self::calendar::MergedDays;
pub use self::gaps::{Gap, GapReason};
use self::piece::Piece;
pub use self::zones::{Clock, InZone, Zones};
use crate::spec::PipelineSpec;
use crate::state::{Error, Manifest, Scope, Wanted, key_fingerprint};
use crate::store::{Parts, PublicValue};
use crate::time::Day;

/// What a partition's head says besides its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next source offset: all below is counted, nothing else is.
    pub position: i64,
    /// The incarnation of the partition's state.
    pub incarnation: String,
    /// What is lost or unreadable.
    pub gaps: Vec<Gap>,
    /// Processed logins that the output topic refused for good.
    pub output_refused: u64,
}

/// What a document says that no partition knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// When it is published, in milliseconds since 1970; decides which day `unique` shows.
    pub published_at_ms: i64,
    /// Up to when all is counted, in milliseconds since 1970; none when unknown.
    pub complete_through_ms: Option<i64>,
    /// How much is counted again (0 to 1), while states are rebuilt.
    pub rebuilding: Option<f64>,
    /// The revision under which all was counted again after the texts of older ones were lost.
    pub rebuilt_with_revision: Option<u64>,
    /// The publication's nonce, of [`crate::store::NONCE_LENGTH`] bytes.
    pub nonce: String,
}

/// What is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The JSON document.
    pub document: String,
    /// All other public keys that hold something, by what follows `rollcall:{<id>}:`.
    pub keys: BTreeMap<String, PublicValue>,
}

/// The latest that is known of all partitions, in little memory: tables and sketches without their stored form, days
/// as quarter hours.
#[derive(Debug)]
pub struct Merge {
    settings: Settings,
    pieces: BTreeMap<i32, Piece>,
    days: MergedDays,
}

/// What of a specification decides what is published.
#[derive(Clone, Debug)]
struct Settings {
    pipeline: String,
    revision: u64,
    dimensions: Vec<String>,
    unique: Vec<String>,
    key_fingerprint: String,
    time_zone: Tz,
    max_values: usize,
}

impl Merge {
    /// Knows no partition yet. A new revision of the specification needs a new merge.
    pub fn new(spec: &PipelineSpec) -> Self {
        let insights = &spec.insights;
        let settings = Settings {
            pipeline: spec.pipeline.clone(),
            revision: spec.revision,
            dimensions: insights.dimensions.iter().map(|dimension| dimension.field.clone()).collect(),
            unique: insights.unique.clone(),
            key_fingerprint: key_fingerprint(spec),
            time_zone: insights.time_zone,
            max_values: usize::try_from(insights.max_values.get()).unwrap_or(usize::MAX),
        };
        Self { settings, pieces: BTreeMap::new(), days: MergedDays::default() }
    }

    /// The day of `unique` in a document published at this time (milliseconds since 1970).
    pub fn today(&self, published_at_ms: i64) -> Day {
        Day::of_zone(published_at_ms, self.settings.time_zone)
    }

    /// What must be fetched before [`Self::update`] can take this manifest. Ask again when `today` has changed, even
    /// where the manifest has not.
    pub fn wanted(&self, partition: i32, manifest: &[u8], today: Day) -> Result<Vec<Wanted>, Error> {
        let manifest = Manifest::decode(manifest)?;
        Ok(piece::wanted(&self.settings, self.pieces.get(&partition), &manifest, today))
    }

    /// Takes what is stored of a partition now: its progress, its manifest, and the parts that were wanted for it. After
    /// an error nothing has changed.
    pub fn update(
        &mut self,
        partition: i32,
        progress: Progress,
        manifest: &[u8],
        parts: &BTreeMap<Scope, Parts>,
    ) -> Result<(), Error> {
        let manifest = Manifest::decode(manifest)?;
        let before = self.pieces.get(&partition);
        let fresh = piece::Fresh::read(&self.settings, before, &manifest, parts)?;
        let piece = self.pieces.entry(partition).or_default();
        piece.apply(progress, manifest, fresh, &mut self.days);
        Ok(())
    }

    /// Forgets a partition, for example because its state is rebuilt: all of it is wanted again then.
    pub fn forget(&mut self, partition: i32) {
        if let Some(mut piece) = self.pieces.remove(&partition) {
            piece.clear_days(&mut self.days);
        }
    }

    /// The document and the public keys of all partitions together.
    pub fn document(&self, context: &Context) -> Published {
        publication::publish(&self.settings, &self.pieces, &self.days, context)
    }
}

/// The field of a partition's head that holds its manifest.
pub const MANIFEST: &str = "manifest";
