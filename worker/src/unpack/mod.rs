//! How much librdkafka may unpack: bombs are refused before they cost memory.
//!
//! librdkafka unpacks gzip, lz4 and snappy without any bound, whatever the fetch settings say: one record of 400 MB in a
//! batch of 400 KB ends each replica in turn. Owns the bounds and the account of what is unpacked. What is refused is to
//! librdkafka a batch that makes no sense, which the pump passes over as any other that cannot be read.

#[cfg(target_os = "linux")]
mod border;
mod lengths;
mod limit;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, Once, PoisonError};

/// How often a batch was refused only because of what else was unpacked: it can be read later.
pub(crate) fn refused_for_now() -> u64 {
    ACCOUNT.lock().unwrap_or_else(PoisonError::into_inner).refused_for_now
}

/// What is unpacked, in bytes of memory.
#[derive(Debug)]
struct Account {
    /// How much all of it may be.
    room: usize,
    /// All of it, with what is being unpacked.
    held: usize,
    /// Each batch, by its address.
    batches: BTreeMap<usize, usize>,
    refused_for_now: u64,
}

impl Account {
    const fn new(room: usize) -> Self {
        Self { room, held: 0, batches: BTreeMap::new(), refused_for_now: 0 }
    }

    /// Makes room for a batch that has `reserved` already and takes `weight`. False: there is none, for now or for good.
    fn reserve(&mut self, reserved: usize, weight: usize) -> bool {
        if weight > self.room {
            return false;
        }
        let others = self.held - reserved;
        if others.saturating_add(weight) > self.room {
            self.refused_for_now += 1;
            return false;
        }
        self.held = others + weight;
        true
    }

    /// A batch is unpacked; what was reserved is its own from now on. Always true.
    fn keep(&mut self, address: usize, weight: usize) -> bool {
        self.held -= self.batches.insert(address, weight).unwrap_or(0);
        true
    }

    /// A batch goes.
    fn release(&mut self, address: usize) {
        self.held -= self.batches.remove(&address).unwrap_or(0);
    }
}

/// Begins to unpack a batch.
fn begin() {
    abandon();
    if let Some(address) = UNPACKED.take() {
        // Nobody wanted it.
        account(|account| account.release(address));
    }
    RESERVED.set(Some(0));
}

/// The batch at hand takes so many bytes at least; whether it may. Always, where none is at hand.
fn grow(length: usize) -> bool {
    let Some(reserved) = RESERVED.get() else { return true };
    if length <= reserved {
        return true;
    }
    #[cfg(target_os = "linux")]
    if length >= LARGE_BATCH_BYTES {
        LARGE_BATCHES_COME.call_once(border::give_back_at_once);
    }
    let fits = length <= BATCH_BYTES_MAX && account(|account| account.reserve(reserved, length));
    if fits {
        RESERVED.set(Some(length));
    }
    fits
}

/// The batch at hand could not be unpacked.
fn abandon() {
    if let Some(reserved) = RESERVED.take() {
        account(|account| account.held -= reserved);
    }
}

/// The batch at hand is unpacked, at this address; whether it may stay. Its records cost more than their bytes.
fn finish(address: usize, unpacked: &[u8]) -> bool {
    let Some(reserved) = RESERVED.get() else { return true };
    let weight = lengths::records(unpacked).saturating_mul(RECORD_BYTES).saturating_add(unpacked.len());
    let fits = unpacked.len() <= BATCH_BYTES_MAX
        && account(|account| account.reserve(reserved, weight) && account.keep(address, weight));
    if fits {
        RESERVED.set(None);
        UNPACKED.set(Some(address));
    } else {
        abandon();
    }
    fits
}

/// Whether the batch at this address is the one that this thread has just unpacked; true only once.
fn take_unpacked(address: usize) -> bool {
    let is_it = UNPACKED.get() == Some(address);
    if is_it {
        UNPACKED.set(None);
    }
    is_it
}

fn account<T>(change: impl FnOnce(&mut Account) -> T) -> T {
    change(&mut ACCOUNT.lock().unwrap_or_else(PoisonError::into_inner))
}

static ACCOUNT: LazyLock<Mutex<Account>> = LazyLock::new(|| {
    let memory = limit::memory_limit();
    Mutex::new(Account::new(memory.map_or(usize::MAX, |limit| limit / 8 * 3)))
});

static LARGE_BATCHES_COME: Once = Once::new();

thread_local! {
    /// What the batch that this thread unpacks has room for; none while it unpacks nothing.
    static RESERVED: Cell<Option<usize>> = const { Cell::new(None) };
    /// What this thread unpacked last, until librdkafka makes a buffer of it.
    static UNPACKED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The longest batch that can be read, unpacked: what librdkafka holds zstd to, so that no codec differs.
const BATCH_BYTES_MAX: usize = 100_000_000;

/// A batch of which a few make a difference.
const LARGE_BATCH_BYTES: usize = 8 << 20;

/// What librdkafka spends on a record beside its bytes.
const RECORD_BYTES: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_for_others_and_one_that_never_fits_does_not() {
        let mut account = Account::new(100);
        assert!(account.reserve(0, 60) && account.keep(1, 60));
        assert!(!account.reserve(0, 50));
        assert_eq!(account.refused_for_now, 1);
        assert!(!account.reserve(0, 101));
        assert_eq!(account.refused_for_now, 1, "there will never be room");
        account.release(1);
        assert!(account.reserve(0, 50) && account.reserve(50, 100));
        assert_eq!(account.held, 100);
    }

    #[test]
    fn an_address_that_comes_again_is_counted_once() {
        let mut account = Account::new(100);
        for weight in [30, 40] {
            assert!(account.reserve(0, weight) && account.keep(7, weight));
        }
        assert_eq!(account.held, 40);
        account.release(7);
        account.release(8);
        assert_eq!(account.held, 0);
    }
}
