//! Flushes and checks of what is stored.

use std::sync::Arc;

use insights::store::{Flush, FlushOutcome, Token};

use super::{Away, Context};
use crate::crash::{self, Point};
use crate::exit::Failure;
use crate::pump::{Cause, Event, LeaseId};

/// Stores a state. A flush whose answer was lost is simply sent again: the token tells whether it is there.
pub(super) async fn flush(context: Arc<Context>, id: LeaseId, flush: Box<Flush>) {
    let mut away = Away::new("Redis");
    while !id.is_cancelled() {
        crash::point_soon(Point::FlushSending);
        match context.store.flush(&flush).await {
            Ok(FlushOutcome::Applied) => {
                away.is_back();
                crash::point(Point::FlushStored);
                return context.tell(Event::Flushed(id, flush.token));
            }
            Ok(FlushOutcome::Conflict(stored)) => {
                tracing::debug!(partition = id.partition, ?stored, expected = ?flush.expected, "flush refused");
                return context.tell(Event::Conflict(id, Cause::Flush));
            }
            Err(error) if error.is_transient() => away.pause(&error).await,
            Err(error) => {
                let error = anyhow::Error::new(error).context("failed to store a partition's state");
                return context.tell(Event::Fatal(Failure::runtime(error)));
            }
        }
    }
}

/// Tells the pump of each partition whose stored token is not the one that this worker believes. This heals a partition in
/// which nothing flows, too.
pub(super) async fn check_tokens(context: Arc<Context>, tokens: Vec<(LeaseId, Token)>) {
    let partitions: Vec<i32> = tokens.iter().map(|(id, _)| id.partition).collect();
    let Ok(stored) = context.store.tokens(&partitions).await else {
        return;
    };
    for ((id, token), stored) in tokens.into_iter().zip(stored) {
        if stored.as_ref() != Some(&token) && !id.is_cancelled() {
            context.tell(Event::Conflict(id, Cause::Check));
        }
    }
}
