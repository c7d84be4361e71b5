//! The claims about every store, run against the one in memory, and those about the seam itself.
//!
//! It never needs a service.

mod suite;

use super::{
    Flush, FlushOutcome, FoundKey, Loaded, PublicValue, Publication, PublishOutcome, Since, Store, tail,
};
use crate::state::{Scope, Wanted, WantedParts};
use crate::time::Day;

#[tokio::test]
async fn memory_keeps_every_claim_of_a_store() {
    suite::every_claim(|_pipeline| Store::memory()).await;
    suite::every_key_is_found_and_none_of_another_pipeline(|_pipeline| Store::memory()).await;
}

#[test]
fn a_tail_begins_at_a_character() {
    assert_eq!(tail("short"), "short");
    assert_eq!(tail("0123456789abcdefghijklmnop"), "89abcdefghijklmnop");
    assert_eq!(tail(&"é".repeat(20)), "é".repeat(9));
    assert_eq!(tail("xé23456789abcdefghi").len(), 17);
}

#[tokio::test]
async fn clones_of_a_memory_store_share_it() {
    let store = Store::memory();
    store.clone().report("worker-0", "{}").await.unwrap();
    assert_eq!(store.reports().await.unwrap().len(), 1);
}
