//! Owns what can break, and the exchanges between a worker and a service that can be lost.
//! It never breaks anything itself.

use crate::proxy::{Loss, Proxy};
use rand::Rng;
use rand::seq::IndexedRandom as _;
use std::time::Duration;

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A worker is killed, and started again.
    Kill,
    /// A worker leaves in good order, and comes back.
    Leave,
    /// A worker sleeps longer than its session lasts, and wakes up with its hands full.
    Freeze,
    /// A worker is replaced by one that ends itself within the protocol.
    CrashPoint,
    /// One more worker joins.
    Join,
    /// Redis is killed, and started again.
    RedisKilled,
    /// Redis loses everything.
    RedisEmptied,
    /// Redis forgets what came since an earlier moment.
    RedisRolledBack,
    /// Somebody else's token is stored.
    ForeignToken,
    /// All connections to Redis are cut.
    RedisCut,
    /// Redis does not answer for longer than a worker waits.
    RedisSilent,
    /// What was asked of Redis does not get there.
    RedisRequestLost,
    /// What Redis answered does not get back.
    RedisReplyLost,
    /// The broker is killed, for the first time as soon as it has promised to end a transaction, and started again.
    BrokerKilled,
    /// All connections to the broker are cut.
    BrokerCut,
    /// The broker does not answer for longer than a request may take.
    BrokerSilent,
    /// What was asked of the broker does not get there.
    BrokerRequestLost,
    /// What the broker answered does not get back.
    BrokerReplyLost,
}

/// All of them.
pub const FAULTS: [Fault; 18] = [
    Fault::Kill,
    Fault::Leave,
    Fault::Freeze,
    Fault::CrashPoint,
    Fault::Join,
    Fault::RedisKilled,
    Fault::RedisEmptied,
    Fault::RedisRolledBack,
    Fault::ForeignToken,
    Fault::RedisCut,
    Fault::RedisSilent,
    Fault::RedisRequestLost,
    Fault::RedisReplyLost,
    Fault::BrokerKilled,
    Fault::BrokerCut,
    Fault::BrokerSilent,
    Fault::BrokerRequestLost,
    Fault::BrokerReplyLost,
];

/// Points of the worker's `crash::Point` that come up again and again.
pub(super) const POINTS: [&str; 10] = [
    "Begun",
    "Produced",
    "BeforeOffsets",
    "AfterOffsets",
    "Committing",
    "Committed",
    "FlushMade",
    "FlushSending",
    "FlushStored",
    "Revoked",
];

/// Loses an exchange of some kind with the broker; the kind, and whether one was really lost.
pub(super) fn lose_of_broker(proxy: &Proxy, loss: Loss, random: &mut impl Rng) -> (&'static str, bool) {
    let (name, kind) = *REQUESTS.choose(random).expect("there are requests");
    (name, proxy.lose(loss, move |bytes| has_request(bytes, kind), LOSS_DEADLINE))
}

/// The same with Redis.
pub(super) fn lose_of_redis(proxy: &Proxy, loss: Loss, random: &mut impl Rng) -> (&'static str, bool) {
    let name = *COMMANDS.choose(random).expect("there are commands");
    let wanted = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name.as_bytes());
    (name, proxy.lose(loss, wanted, LOSS_DEADLINE))
}

/// Waits until the broker answers a request to end a transaction, and keeps the answer back.
pub(super) fn await_end_of_transaction(proxy: &Proxy) {
    proxy.lose(Loss::Reply, |bytes| has_request(bytes, END_TXN), LOSS_DEADLINE);
}

/// Whether one of the requests that stand in these bytes, which begin with one, is of this kind. Each is its length in four
/// bytes, then its kind in two. The client sends each whole.
fn has_request(mut bytes: &[u8], kind: u16) -> bool {
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        if rest.first_chunk::<2>() == Some(&kind.to_be_bytes()) {
            return true;
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        bytes = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Requests that come again and again while records flow, by Kafka's numbers: those of a transaction, and the beat.
const REQUESTS: [(&str, u16); 6] = [
    ("Produce", 0),
    ("Heartbeat", 12),
    ("AddPartitionsToTxn", 24),
    ("AddOffsetsToTxn", 25),
    ("EndTxn", END_TXN),
    ("TxnOffsetCommit", 28),
];

const END_TXN: u16 = 26;

/// The scripts, which change something, and the reading of tokens and reports.
const COMMANDS: [&str; 3] = ["EVALSHA", "EVALSHA", "HGET"];

/// Some kinds do not come up when the workers are busy with something else.
const LOSS_DEADLINE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_behind_another_and_not_within_one() {
        let first = [0, 0, 0, 4, 0, 12, 0, 26];
        let second = [0, 0, 0, 2, 0, 26];
        assert!(has_request(&first, 12) && !has_request(&first, 26));
        assert!(has_request(&[&first[..], &second].concat(), 26));
        assert!(!has_request(&first[..3], 0) && !has_request(&[], 0));
    }
}
