//! The store against real Redis servers: every claim of the seam, and what goes wrong with a server.
//!
//! It never uses a Redis that it did not start.
#![cfg(feature = "lab")]

#[cfg(test)]
#[path = "store/server.rs"]
mod server;
#[cfg(test)]
#[path = "store/setups.rs"]
mod setups;
#[cfg(test)]
#[path = "../../insights/src/store/tests/suite.rs"]
mod suite;

use std::collections::BTreeMap;

use insights::state::{Scope, Wanted, WantedParts};
use insights::store::redis::{Address, Kind};
use insights::store::{
    Error, Flush, FlushOutcome, FoundKey, Loaded, PublicValue, Publication, PublishOutcome, Since, Store,
    tail,
};
use insights::time::Day;
use redis::aio::MultiplexedConnection;

use self::server::{Server, run};
use self::suite::{all_time, part, publication, step};

#[tokio::test]
async fn redis_keeps_every_claim_of_a_store() {
    let server = Server::start(&[]);
    let store = |pipeline: &str| Store::redis(server.address(), pipeline);
    suite::every_claim(store).await;
    suite::every_key_is_found_and_none_of_another_pipeline(store).await;
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = Server::start(&[]);
    let store = server.store();
    store.flush(&step(None, "a")).await.unwrap();
    let mut admin = server.admin().await;
    run::<()>(&mut admin, "SCRIPT FLUSH").await;
    assert_eq!(store.flush(&step(Some("a"), "b")).await.unwrap(), FlushOutcome::Applied);
    run::<()>(&mut admin, "SCRIPT FLUSH").await;
    assert_eq!(all_time(&store, "b").await, BTreeMap::new());
    run::<()>(&mut admin, "SCRIPT FLUSH").await;
    let published = store.publish(&publication(None, "0123456789abcdef")).await.unwrap();
    assert_eq!(published, PublishOutcome::Applied);
}

#[tokio::test]
async fn a_foreign_value_under_a_key_of_a_partition_stops_the_flush_before_it_writes() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    let mut first = step(None, "a");
    first.puts = vec![part("p", b"1"), (Scope::Day(Day(0)), "x".to_owned(), vec![1])];
    store.flush(&first).await.unwrap();
    run::<()>(&mut admin, "SET rollcall:{p/3}:day:1970-01-02 foreign").await;
    let before = dump(&mut admin).await;

    let mut second = step(Some("a"), "b");
    second.drops = vec![Scope::Day(Day(0))];
    second.puts = vec![part("p", b"2"), (Scope::Day(Day(1)), "y".to_owned(), vec![2])];
    assert_clash(&store.flush(&second).await.unwrap_err(), "rollcall:{p/3}:day:1970-01-02");
    let wanted = [Wanted { scope: Scope::Day(Day(1)), parts: WantedParts::All }];
    assert_clash(&store.load(3, "a", &wanted).await.unwrap_err(), "rollcall:{p/3}:day:1970-01-02");
    assert_eq!(dump(&mut admin).await, before);

    run::<()>(&mut admin, "SET rollcall:{p/4}:head foreign").await;
    assert_clash(&store.heads(&[3, 4]).await.unwrap_err(), "rollcall:{p/4}:head");
    assert_clash(&store.tokens(&[3, 4]).await.unwrap_err(), "rollcall:{p/4}:head");
}

#[tokio::test]
async fn a_foreign_value_under_a_public_key_stops_the_publication_before_it_writes() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    let mut publication = publication(None, "0123456789abcdef");
    let totals = PublicValue::Hash(vec![("read".to_owned(), 1)]);
    publication.keys =
        BTreeMap::from([("by:a".to_owned(), PublicValue::SortedSet(vec![])), ("totals".to_owned(), totals)]);
    publication.removed = vec!["hours".to_owned()];
    for name in ["insights", "workers", "hours", "by:a", "totals"] {
        let key = format!("rollcall:{{p}}:{name}");
        run::<()>(&mut admin, &format!("LPUSH {key} foreign")).await;
        let before = dump(&mut admin).await;
        assert_clash(&store.publish(&publication).await.unwrap_err(), &key);
        assert_eq!(dump(&mut admin).await, before);
        run::<()>(&mut admin, &format!("DEL {key}")).await;
    }
    assert_eq!(store.publish(&publication).await.unwrap(), PublishOutcome::Applied);
}

#[tokio::test]
async fn a_first_flush_clears_what_a_lost_head_left_behind() {
    let server = Server::start(&[]);
    let store = server.store();
    let mut first = step(None, "a");
    first.puts = vec![part("old", b"1")];
    first.head.insert("old".to_owned(), vec![1]);
    store.flush(&first).await.unwrap();
    run::<()>(&mut server.admin().await, "HDEL rollcall:{p/3}:head token").await;
    assert_eq!(store.heads(&[3]).await.unwrap(), [None]);
    let mut anew = step(None, "b");
    anew.puts = vec![part("new", b"2")];
    store.flush(&anew).await.unwrap();
    assert_eq!(all_time(&store, "b").await.into_keys().collect::<Vec<_>>(), ["new"]);
    assert_eq!(store.heads(&[3]).await.unwrap()[0].as_ref().unwrap().fields, anew.head);
}

#[tokio::test]
async fn public_keys_are_replaced_whole() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    let many: Vec<(String, u64)> = (0..100_000).map(|number| (format!("value-{number}"), number)).collect();
    let mut first = publication(None, "0123456789abcdef");
    first.keys.insert("by:app".to_owned(), PublicValue::SortedSet(many.clone()));
    first.keys.insert("hours".to_owned(), PublicValue::Hash(many));
    assert_eq!(store.publish(&first).await.unwrap(), PublishOutcome::Applied);
    assert_eq!(run::<usize>(&mut admin, "ZCARD rollcall:{p}:by:app").await, 100_000);
    assert_eq!(run::<u64>(&mut admin, "ZSCORE rollcall:{p}:by:app value-99999").await, 99_999);
    assert_eq!(run::<usize>(&mut admin, "HLEN rollcall:{p}:hours").await, 100_000);

    let mut second = publication(Some(&first.document), "1111111111111111");
    second.keys.insert("by:app".to_owned(), PublicValue::SortedSet(vec![("only".to_owned(), 7)]));
    second.removed = vec!["hours".to_owned()];
    assert_eq!(store.publish(&second).await.unwrap(), PublishOutcome::Applied);
    let members: Vec<String> = run(&mut admin, "ZRANGE rollcall:{p}:by:app 0 -1 WITHSCORES").await;
    assert_eq!(members, ["only", "7"]);
    let mut keys: Vec<String> = run(&mut admin, "KEYS *").await;
    keys.sort();
    assert_eq!(keys, ["rollcall:{p}:by:app", "rollcall:{p}:insights"]);
}

#[tokio::test]
async fn a_document_that_somebody_else_wrote_is_replaced_by_who_saw_it() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    let foreign: [&[u8]; 5] = [
        b"",
        b"x",
        b"\xff\xfe",
        b"text and \xff and more text than a tail is long",
        "ééééééééééé".as_bytes(),
    ];
    for bytes in foreign {
        redis::cmd("SET").arg("rollcall:{p}:insights").arg(bytes).exec_async(&mut admin).await.unwrap();
        let unseen = store.publish(&publication(None, "0123456789abcdef")).await.unwrap();
        assert_eq!(unseen, PublishOutcome::Conflict, "{bytes:?}");
        let seen = store.published().await.unwrap().unwrap();
        let next = publication(Some(&seen), "0123456789abcdef");
        assert_eq!(store.publish(&next).await.unwrap(), PublishOutcome::Applied, "{bytes:?}");
        // Once a document of ours is there, what was seen before is stale.
        assert_eq!(store.publish(&next).await.unwrap(), PublishOutcome::Conflict, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_flush_without_an_answer_is_settled_by_repeating_it() {
    let server = Server::start(&[]);
    let (store, mut admin) = (server.store(), server.admin().await);
    store.flush(&step(None, "a")).await.unwrap();
    let opened = store.generation();
    run::<()>(&mut admin, "CLIENT PAUSE 60000 WRITE").await;
    let flush = step(Some("a"), "b");
    let error = store.flush(&flush).await.unwrap_err();
    assert!(matches!(error, Error::Silent { .. }) && error.is_transient(), "{error}");
    run::<()>(&mut admin, "CLIENT UNPAUSE").await;
    assert_eq!(store.flush(&flush).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.generation(), opened + 1);
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = server.store();
    store.flush(&step(None, "a")).await.unwrap();
    assert_eq!(store.generation(), 1);
    server.kill();
    for _ in 0..2 {
        let error = store.flush(&step(Some("a"), "b")).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{}", server.port)), "{error}");
    }
    server.start_again();
    assert_eq!(store.flush(&step(Some("a"), "b")).await.unwrap(), FlushOutcome::Applied);
    assert_eq!(store.generation(), 2);
}

fn assert_clash(error: &Error, key: &str) {
    assert!(matches!(error, Error::WrongType { key: named, .. } if named == key), "{error}");
    assert!(!error.is_transient());
}

/// All keys and what they hold.
async fn dump(admin: &mut MultiplexedConnection) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<String> = run(admin, "KEYS *").await;
    let mut dump = BTreeMap::new();
    for key in keys {
        let value = run(admin, &format!("DUMP {key}")).await;
        dump.insert(key, value);
    }
    dump
}
