//! What must hold in every state.
//!
//! Owns the promises by name. They look at the services from outside, never into a worker, except for what a worker itself
//! checks at each commit and flush.

use stateright::Property;

use super::world::{PARTITIONS, World};
use super::{Protocol, passes};
use crate::protocol::positions::INVARIANTS;

/// All of them.
pub(super) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONCE, |_, world: &World| {
            world.output.iter().all(|output| {
                output.iter().enumerate().all(|(index, offset)| !output[..index].contains(offset))
            })
        }),
        Property::always(OUTPUT, |_, world: &World| {
            world.output.iter().zip(&world.committed).all(|(output, committed)| {
                let next = committed.map_or(0, |progress| progress.next);
                output.iter().copied().eq((0..next).filter(|offset| passes(*offset)))
            })
        }),
        Property::always(FOLD, |_, world: &World| {
            world.redis.iter().flatten().all(|stored| {
                let mut counts = stored.counts.iter().zip(0..);
                counts.all(|(count, offset)| *count == u8::from(offset < stored.state.next))
            })
        }),
        Property::always(NOT_AHEAD, |_, world: &World| {
            (0..PARTITIONS).all(|p| {
                let prepared = world.transactions.iter().filter(|transaction| transaction.is_prepared);
                let promised = prepared.filter_map(|transaction| transaction.offsets[p]);
                let kafka = promised.chain(world.committed[p]).map(|progress| progress.next).max();
                world.redis[p].as_ref().is_none_or(|stored| stored.state.next <= kafka.unwrap_or(0))
            })
        }),
        Property::always(REFUSED, |_, world: &World| world.broken != Some(REFUSED)),
        Property::always(LOCAL, |_, world: &World| {
            world.broken.is_none_or(|broken| !INVARIANTS.contains(&broken))
        }),
        Property::always(HALTED, |_, world: &World| world.broken != Some(HALTED)),
        Property::always(AT_REST, |model: &Protocol, world| model.rests_only_when_done(world)),
    ]
}

pub(super) const ONCE: &str = "each source offset is in the output at most once";
pub(super) const OUTPUT: &str = "the output is what passes the filter below Kafka's offset, in order";
pub(super) const FOLD: &str = "what Redis holds is the fold of exactly what its own offset says";
pub(super) const NOT_AHEAD: &str = "Redis is not ahead of Kafka";
pub(super) const REFUSED: &str = "a refused flush changes nothing";
pub(super) const LOCAL: &str = "no worker sees a promise broken";
pub(super) const HALTED: &str = "no partition halts";
pub(super) const AT_REST: &str = "without more faults the work gets done in both sinks";
