//! What every store must do, as claims that each take an empty store.
//!
//! Owns the claims, which the lab runs against a real Redis too; it never looks behind the seam.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Day, Flush, FlushOutcome, FoundKey, Loaded, PublicValue, Publication, PublishOutcome, Scope, Since,
    Store, Wanted, WantedParts, tail,
};

/// Runs every claim, each in a store of its own pipeline.
pub(crate) async fn every_claim(store: impl Fn(&str) -> Store) {
    a_first_flush_is_read_back(store("first")).await;
    a_flush_on_another_token_conflicts_and_writes_nothing(store("conflict")).await;
    a_repeated_flush_is_settled_by_its_own_token(store("repeated")).await;
    drops_come_before_deletes_and_puts(store("order")).await;
    a_load_tells_of_another_token(store("moved")).await;
    ten_thousand_parts_are_one_flush(store("many")).await;
    the_first_start_is_kept(store("start")).await;
    publications_follow_each_other(store("publish")).await;
    reports_come_and_go(store("reports")).await;
}

/// A flush of partition 3 that writes one head field and no parts.
pub(crate) fn step(expected: Option<&str>, token: &str) -> Flush {
    Flush {
        partition: 3,
        expected: expected.map(str::to_owned),
        token: token.to_owned(),
        head: BTreeMap::from([("progress".to_owned(), token.as_bytes().to_vec())]),
        ..Flush::default()
    }
}

/// A part of all time.
pub(crate) fn part(name: &str, blob: &[u8]) -> (Scope, String, Vec<u8>) {
    (Scope::AllTime, name.to_owned(), blob.to_vec())
}

/// Everything of all time in partition 3.
pub(crate) async fn all_time(store: &Store, token: &str) -> BTreeMap<String, Vec<u8>> {
    let wanted = [Wanted { scope: Scope::AllTime, parts: WantedParts::All }];
    match store.load(3, token, &wanted).await.unwrap() {
        Loaded::Parts(mut scopes) => {
            scopes.remove(&Scope::AllTime).expect("each wanted scope is in the answer")
        }
        Loaded::Moved(stored) => panic!("expected {token}, stored is {stored:?}"),
    }
}

/// A publication whose document ends as the worker's do.
pub(crate) fn publication(before: Option<&str>, nonce: &str) -> Publication {
    Publication {
        expected_tail: before.map(tail),
        document: format!(r#"{{"schema":1,"publication":"{nonce}"}}"#),
        keys: BTreeMap::new(),
        removed: Vec::new(),
        removed_workers: Vec::new(),
    }
}

async fn a_first_flush_is_read_back(store: Store) {
    assert_eq!(store.heads(&[3, 4]).await.unwrap(), [None, None]);
    let mut flush = step(None, "0|7|a");
    flush.head.insert("binary".to_owned(), vec![0, 255, b'\r', b'\n']);
    flush.puts = vec![
        part("summary", &[0, 200, 1]),
        part("", b""),
        (Scope::Day(Day(20_000)), "x".to_owned(), vec![9]),
    ];
    assert_eq!(store.flush(&flush).await.unwrap(), FlushOutcome::Applied);

    let heads = store.heads(&[4, 3, 3]).await.unwrap();
    assert_eq!(heads[0], None);
    let head = heads[1].clone().unwrap();
    assert_eq!((head.token.as_str(), &head.fields), ("0|7|a", &flush.head));
    assert_eq!(heads[2], heads[1]);
    assert_eq!(store.tokens(&[3, 4]).await.unwrap(), [Some("0|7|a".to_owned()), None]);
    assert_eq!(store.heads(&[]).await.unwrap(), []);

    let only = |scope, name: &str| Wanted { scope, parts: WantedParts::Only(name.to_owned()) };
    let distinct = Scope::Distinct(Day(20_000));
    let wanted = [
        only(Scope::AllTime, "summary"),
        only(Scope::AllTime, "missing"),
        only(Scope::AllTime, ""),
        Wanted { scope: Scope::Day(Day(20_000)), parts: WantedParts::All },
        Wanted { scope: distinct, parts: WantedParts::All },
    ];
    let expected = BTreeMap::from([
        (Scope::AllTime, BTreeMap::from([("summary".to_owned(), vec![0, 200, 1]), (String::new(), vec![])])),
        (Scope::Day(Day(20_000)), BTreeMap::from([("x".to_owned(), vec![9])])),
        (distinct, BTreeMap::new()),
    ]);
    assert_eq!(store.load(3, "0|7|a", &wanted).await.unwrap(), Loaded::Parts(expected));
}

async fn a_flush_on_another_token_conflicts_and_writes_nothing(store: Store) {
    let early = store.flush(&step(Some("0|1|z"), "0|2|a")).await.unwrap();
    assert_eq!(early, FlushOutcome::Conflict(None));
    let mut first = step(None, "0|2|a");
    first.puts = vec![part("p", b"1")];
    store.flush(&first).await.unwrap();
    for expected in [None, Some("0|1|z"), Some("")] {
        let mut late = step(expected, "0|9|b");
        late.puts = vec![part("p", b"2")];
        late.drops = vec![Scope::AllTime];
        let outcome = store.flush(&late).await.unwrap();
        assert_eq!(outcome, FlushOutcome::Conflict(Some("0|2|a".to_owned())));
    }
    assert_eq!(all_time(&store, "0|2|a").await, BTreeMap::from([("p".to_owned(), b"1".to_vec())]));
    assert_eq!(store.heads(&[3]).await.unwrap()[0].as_ref().unwrap().fields, first.head);
}

async fn a_repeated_flush_is_settled_by_its_own_token(store: Store) {
    store.flush(&step(None, "0|1|a")).await.unwrap();
    let mut second = step(Some("0|1|a"), "0|2|b");
    second.puts = vec![part("p", b"once")];
    assert_eq!(store.flush(&second).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.flush(&second).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.flush(&step(Some("0|2|b"), "0|3|c")).await.unwrap(), FlushOutcome::Applied);
    let overtaken = store.flush(&second).await.unwrap();
    assert_eq!(overtaken, FlushOutcome::Conflict(Some("0|3|c".to_owned())));
}

async fn drops_come_before_deletes_and_puts(store: Store) {
    let day = Scope::Day(Day(1));
    let mut first = step(None, "a");
    first.puts = vec![part("kept", b"1"), part("gone", b"2"), (day, "old".to_owned(), vec![3])];
    store.flush(&first).await.unwrap();
    let mut second = step(Some("a"), "b");
    second.drops = vec![day, Scope::Distinct(Day(1))];
    second.deletes = vec![(Scope::AllTime, "gone".to_owned()), (Scope::AllTime, "never".to_owned())];
    second.puts = vec![part("new", b"4"), (day, "fresh".to_owned(), vec![5])];
    store.flush(&second).await.unwrap();
    let names: Vec<String> = all_time(&store, "b").await.into_keys().collect();
    assert_eq!(names, ["kept", "new"]);
    let wanted = [Wanted { scope: day, parts: WantedParts::All }];
    let expected = BTreeMap::from([(day, BTreeMap::from([("fresh".to_owned(), vec![5])]))]);
    assert_eq!(store.load(3, "b", &wanted).await.unwrap(), Loaded::Parts(expected));
}

async fn a_load_tells_of_another_token(store: Store) {
    assert_eq!(store.load(3, "a", &[]).await.unwrap(), Loaded::Moved(None));
    store.flush(&step(None, "a")).await.unwrap();
    assert_eq!(store.load(3, "a", &[]).await.unwrap(), Loaded::Parts(BTreeMap::new()));
    assert_eq!(store.load(3, "b", &[]).await.unwrap(), Loaded::Moved(Some("a".to_owned())));
}

async fn ten_thousand_parts_are_one_flush(store: Store) {
    let mut flush = step(None, "a");
    flush.puts =
        (0..10_000).map(|number: u32| part(&format!("part:{number}"), &number.to_be_bytes())).collect();
    assert_eq!(store.flush(&flush).await.unwrap(), FlushOutcome::Applied);
    let parts = all_time(&store, "a").await;
    assert_eq!(parts.len(), 10_000);
    assert!((0..10_000_u32).all(|number| parts[&format!("part:{number}")] == number.to_be_bytes()));

    let mut second = step(Some("a"), "b");
    second.deletes = (1..10_000).map(|number| (Scope::AllTime, format!("part:{number}"))).collect();
    assert_eq!(store.flush(&second).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(all_time(&store, "b").await, BTreeMap::from([("part:0".to_owned(), vec![0; 4])]));
}

async fn the_first_start_is_kept(store: Store) {
    assert_eq!(store.first_start(&[1, 0, 255]).await.unwrap(), [1, 0, 255]);
    assert_eq!(store.first_start(&[2]).await.unwrap(), [1, 0, 255]);
    assert_eq!(store.tokens(&[0]).await.unwrap(), [None]);
}

async fn publications_follow_each_other(store: Store) {
    assert_eq!(store.published().await.unwrap(), None);
    assert_eq!(store.published_since(None).await.unwrap(), Since::Nothing);
    let mut first = publication(None, "0123456789abcdef");
    first.keys.insert("totals".to_owned(), PublicValue::Hash(vec![("read".to_owned(), 1)]));
    assert_eq!(store.publish(&first).await.unwrap(), PublishOutcome::Applied);
    assert_eq!(store.published().await.unwrap().as_ref(), Some(&first.document));
    // Another worker that saw nothing, and one that saw something else.
    assert_eq!(
        store.publish(&publication(None, "1111111111111111")).await.unwrap(),
        PublishOutcome::Conflict
    );
    let stale = publication(Some("…2222222222222222\"}"), "1111111111111111");
    assert_eq!(store.publish(&stale).await.unwrap(), PublishOutcome::Conflict);
    assert_eq!(store.published().await.unwrap().as_ref(), Some(&first.document));
    let next = publication(Some(&first.document), "3333333333333333");
    assert_eq!(store.publish(&next).await.unwrap(), PublishOutcome::Applied);
    let (former, latest) = (tail(&first.document), tail(&next.document));
    let other = Since::Document(next.document.clone());
    assert_eq!(store.published_since(Some(&former)).await.unwrap(), other);
    assert_eq!(store.published_since(Some(&latest)).await.unwrap(), Since::Same);
    assert_eq!(store.published().await.unwrap(), Some(next.document));
}

async fn reports_come_and_go(store: Store) {
    store.remove_report("worker-0").await.unwrap();
    assert_eq!(store.reports().await.unwrap(), BTreeMap::new());
    for (worker, json) in [("worker-0", "{}"), ("worker-1", "old"), ("worker-1", "new"), ("worker-2", "gone")]
    {
        store.report(worker, json).await.unwrap();
    }
    store.remove_report("worker-0").await.unwrap();
    let mut removing = publication(None, "0123456789abcdef");
    removing.removed_workers = vec!["worker-2".to_owned(), "never".to_owned()];
    store.publish(&removing).await.unwrap();
    let expected = BTreeMap::from([("worker-1".to_owned(), "new".to_owned())]);
    assert_eq!(store.reports().await.unwrap(), expected);
}

/// One more claim, for which a user needs one more right.
pub(crate) async fn every_key_is_found_and_none_of_another_pipeline(store: impl Fn(&str) -> Store) {
    let (store, other) = (store("keys"), store("keys2"));
    assert_eq!(store.keys().await.unwrap(), BTreeSet::new());
    let mut flush = step(None, "0|7|a");
    flush.puts = (0..3000).map(|day| (Scope::Day(Day(day)), "x".to_owned(), vec![9])).collect();
    store.flush(&flush).await.unwrap();
    other.flush(&flush).await.unwrap();
    store.first_start(b"{}").await.unwrap();
    store.report("worker-0", "{}").await.unwrap();
    let mut first = publication(None, "0123456789abcdef");
    first.keys.insert("totals".to_owned(), PublicValue::Hash(vec![("read".to_owned(), 1)]));
    store.publish(&first).await.unwrap();
    let key = |owner: &str, name: String| FoundKey { owner: owner.to_owned(), name };
    let mut expected: BTreeSet<FoundKey> =
        (0..3000).map(|day| key("/3", Scope::Day(Day(day)).to_string())).collect();
    expected.insert(key("/3", "head".to_owned()));
    expected.insert(key("/0", "first-start".to_owned()));
    expected.extend(["insights", "workers", "totals"].map(|name| key("", name.to_owned())));
    assert_eq!(store.keys().await.unwrap(), expected);
}
