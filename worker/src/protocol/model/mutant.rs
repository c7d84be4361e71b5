//! Ways in which a worker, or what it relies on, could be wrong.
//!
//! Owns their names, and the promise that each of them breaks. It never changes a step itself: each step asks.

use super::configuration::Configuration::{self, Doubt, Redis, Sleep};
use super::promises::{AT_REST, FOLD, LOCAL, NOT_AHEAD, ONCE, OUTPUT, REFUSED};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    OffsetsBeforeOutputs,
    OutputsWithoutOffsets,
    NoCompareAndSet,
    RefusedFlushWritesItsHead,
    BlindRetryOfACommit,
    DoubtIsTakenForSuccess,
    PositionsKeptAfterDoubt,
    CountGateOneLow,
    CountGateOneHigh,
    OutputGateOneLow,
    OutputGateOneHigh,
    NoGateOnCounts,
    NoGateOnOutput,
    OutputResumesFromRedis,
    ReadingResumesFromKafka,
    EpochIsNotRaised,
    GenerationIsIgnored,
    UncommittedIsFlushed,
    MissingRedisIsKafkasOffset,
    TokenStaysTheSame,
    TokensAreNotChecked,
    RecordIsSkippedAfterAnAbort,
    UnstableOffsetIsRead,
    LostLeaseKeepsTheTransaction,
}

/// Each with the faults that bring it out, and a promise that must be found broken.
pub(super) const MUTANTS: [(Mutant, Configuration, &str); 24] = [
    (Mutant::OffsetsBeforeOutputs, Redis, OUTPUT),
    (Mutant::OutputsWithoutOffsets, Redis, OUTPUT),
    (Mutant::NoCompareAndSet, Redis, FOLD),
    (Mutant::RefusedFlushWritesItsHead, Redis, REFUSED),
    (Mutant::BlindRetryOfACommit, Doubt, ONCE),
    (Mutant::DoubtIsTakenForSuccess, Doubt, NOT_AHEAD),
    (Mutant::PositionsKeptAfterDoubt, Doubt, ONCE),
    (Mutant::CountGateOneLow, Redis, FOLD),
    (Mutant::CountGateOneHigh, Redis, FOLD),
    (Mutant::OutputGateOneLow, Redis, ONCE),
    (Mutant::OutputGateOneHigh, Redis, OUTPUT),
    (Mutant::NoGateOnCounts, Redis, FOLD),
    (Mutant::NoGateOnOutput, Redis, ONCE),
    (Mutant::OutputResumesFromRedis, Redis, ONCE),
    (Mutant::ReadingResumesFromKafka, Redis, LOCAL),
    (Mutant::EpochIsNotRaised, Doubt, OUTPUT),
    (Mutant::GenerationIsIgnored, Sleep, ONCE),
    (Mutant::UncommittedIsFlushed, Redis, NOT_AHEAD),
    (Mutant::MissingRedisIsKafkasOffset, Redis, FOLD),
    (Mutant::TokenStaysTheSame, Redis, LOCAL),
    (Mutant::TokensAreNotChecked, Redis, AT_REST),
    (Mutant::RecordIsSkippedAfterAnAbort, Redis, OUTPUT),
    (Mutant::UnstableOffsetIsRead, Doubt, ONCE),
    (Mutant::LostLeaseKeepsTheTransaction, Sleep, OUTPUT),
];
