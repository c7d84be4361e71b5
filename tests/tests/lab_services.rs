//! Owns the proof that the lab's own services do what later tests build on.
//! It never tests Rollcall.
#![cfg(feature = "lab")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::certificates::Authority;
use lab::kafka::{self, Client, Isolation, Kafka, Listener, Record, Resource, StoredRecord, unique};
use lab::proxy::{Loss, Proxy};
use lab::redis::{self, Redis, Sentinel};
use lab::{wait_for, wait_until};

#[test]
fn a_record_comes_back_byte_for_byte() -> Result<()> {
    let kafka = Kafka::shared();
    let topic = kafka.create_topic(&unique("bytes"), 2, &[])?;
    let written = [
        Record::new([0xff, 0x00, b'\n']).key("a").timestamp(1_700_000_000_123).partition(1),
        Record::new("").key("").header("same", "1").header("same", "").null_header("none").partition(0),
        Record::tombstone().partition(0),
    ];
    let positions = kafka.client().produce(&topic, &written)?;
    let read = kafka.client().read(&topic, Isolation::Uncommitted)?;
    let [empty, tombstone, bytes] = read.as_slice() else { panic!("three records, not {read:?}") };
    assert_eq!(positions, [bytes.position, empty.position, tombstone.position]);
    assert_eq!(bytes.value.as_deref(), Some([0xff, 0x00, b'\n'].as_slice()));
    assert_eq!((bytes.key.as_deref(), bytes.timestamp_ms), (Some(b"a".as_slice()), Some(1_700_000_000_123)));
    assert_eq!((empty.key.as_deref(), empty.value.as_deref()), (Some([].as_slice()), Some([].as_slice())));
    let headers = [("same", Some(&b"1"[..])), ("same", Some(&b""[..])), ("none", None)];
    let expected = headers.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
    assert_eq!(empty.headers, expected);
    assert_eq!((tombstone.key.as_deref(), tombstone.value.as_deref()), (None, None));
    Ok(())
}

#[test]
fn only_committed_transactions_are_seen() -> Result<()> {
    let kafka = Kafka::shared();
    let topic = kafka.create_topic(&unique("transactions"), 1, &[])?;
    let producer = kafka.client().transactional_producer(&topic)?;
    producer.begin()?;
    producer.produce(&topic, &[Record::new("aborted")])?;
    producer.abort()?;
    producer.begin()?;
    producer.produce(&topic, &[Record::new("committed")])?;
    producer.commit()?;
    producer.begin()?;
    producer.produce(&topic, &[Record::new("open")])?;

    assert_eq!(texts(&kafka.client().read(&topic, Isolation::Committed)?), ["committed"]);
    let all = kafka.client().read(&topic, Isolation::Uncommitted)?;
    assert_eq!(texts(&all), ["aborted", "committed", "open"]);
    // Two records and two markers are stable, the open record is not.
    assert_eq!(kafka.client().log_ends(&topic, Isolation::Committed)?[&0].end, 4);
    assert_eq!(kafka.client().log_ends(&topic, Isolation::Uncommitted)?[&0].end, 5);

    // A second producer of the same id fences the first, and so ends its transaction.
    let successor = kafka.client().transactional_producer(&topic)?;
    assert!(producer.commit().is_err(), "a fenced producer cannot commit");
    assert_eq!(kafka.client().log_ends(&topic, Isolation::Committed)?[&0].end, 6);
    drop(successor);
    Ok(())
}

#[test]
fn an_administrator_changes_topics() -> Result<()> {
    let kafka = Kafka::shared();
    let topic = kafka.create_topic(&unique("admin"), 1, &[("retention.ms", "3600000")])?;
    kafka.add_partitions(&topic, 3)?;
    assert_eq!(kafka.client().partitions(&topic)?, 3);

    kafka.alter_topic(&topic, "max.message.bytes", "1000")?;
    let settings = kafka.tool(
        "kafka.admin.ConfigCommand",
        &["--entity-type", "topics", "--entity-name", &topic, "--describe"],
    )?;
    assert!(settings.contains("max.message.bytes=1000"), "{settings}");
    assert!(settings.contains("retention.ms=3600000"), "the other setting stays: {settings}");
    let error = kafka.client().produce(&topic, &[Record::new("x".repeat(2_000))]).unwrap_err();
    assert!(format!("{error:#}").contains("MessageSizeTooLarge"), "{error:#}");

    let records = ["a", "b", "c"].map(|text| Record::new(text).partition(2));
    kafka.client().produce(&topic, &records)?;
    kafka.delete_records(&topic, 2, 2)?;
    assert_eq!(texts(&kafka.client().read(&topic, Isolation::Committed)?), ["c"]);
    assert_eq!(kafka.client().log_ends(&topic, Isolation::Committed)?[&2].start, 2);

    assert!(kafka.committed("nobody", &topic)?.is_empty());
    assert_eq!(kafka.group("nobody")?, ("Dead".to_owned(), Vec::new()));
    kafka.delete_topic(&topic)?;
    assert!(kafka.client().partitions(&topic).is_err());
    Ok(())
}

#[test]
fn only_the_right_password_and_a_trusted_certificate_open_kafka() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let options = kafka::Options::new().tls(&authority).client_certificates();
    let options = options.scram_user("alice", "wonderland").plain_user("bob", "builder").access_control();
    let kafka = Kafka::start(options)?;

    for listener in [Listener::SaslPlaintext, Listener::SaslSsl] {
        let client = || kafka.client_of(listener);
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            assert!(answers(&client()?.login(mechanism, "alice", "wonderland")), "{listener:?} {mechanism}");
            assert!(!answers(&client()?.login(mechanism, "alice", "mirror")), "{listener:?} {mechanism}");
        }
        assert!(answers(&client()?.login("PLAIN", "bob", "builder")), "{listener:?}");
        assert!(!answers(&client()?.login("PLAIN", "bob", "painter")), "{listener:?}");
    }

    let own = authority.issue("client")?;
    let with = |client: Client, key: &Path, certificate: &Path| {
        client
            .property("ssl.key.location", &key.to_string_lossy())
            .property("ssl.certificate.location", &certificate.to_string_lossy())
    };
    assert!(answers(&with(kafka.client_of(Listener::Ssl)?, &own.key, &own.certificate)));
    assert!(!answers(&kafka.client_of(Listener::Ssl)?), "a client certificate is asked for");
    let misled = kafka.client_of(Listener::SaslSsl)?.login("PLAIN", "bob", "builder");
    let misled = misled.property("ssl.ca.location", &stranger.certificate().to_string_lossy());
    assert!(!answers(&misled), "the server's certificate is not trusted");

    let topic = kafka.create_topic("guarded", 1, &[])?;
    let alice = kafka.client_of(Listener::SaslPlaintext)?.login("SCRAM-SHA-256", "alice", "wonderland");
    assert!(alice.produce(&topic, &[Record::new("no")]).is_err());
    kafka.allow("alice", &["Write", "Describe"], Resource::Topic(&topic))?;
    assert_eq!(alice.produce(&topic, &[Record::new("yes")])?.len(), 1);
    kafka.disallow("alice", &["Write"], Resource::Topic(&topic))?;
    assert!(alice.produce(&topic, &[Record::new("no")]).is_err());
    Ok(())
}

#[test]
fn a_broker_keeps_its_data_over_stops_and_forgets_what_a_snapshot_lacks() -> Result<()> {
    let mut kafka = Kafka::start(kafka::Options::new())?;
    let client = kafka.client();
    let topic = kafka.create_topic("kept", 1, &[])?;
    client.produce(&topic, &[Record::new("1")])?;
    kafka.stop()?;
    assert!(!answers(&client), "a stopped broker is gone");
    kafka.start_again()?;
    let snapshot = kafka.snapshot()?;
    client.produce(&topic, &[Record::new("2")])?;
    kafka.kill()?;
    kafka.start_again()?;
    assert_eq!(texts(&client.read(&topic, Isolation::Committed)?), ["1", "2"]);
    kafka.restore(&snapshot)?;
    assert_eq!(texts(&client.read(&topic, Isolation::Committed)?), ["1"]);

    kafka.pause()?;
    assert!(!answers(&client), "a paused broker says nothing");
    kafka.resume()?;
    // Its partitions may have lost their leader meanwhile: the controller had not heard of it.
    wait_for("the broker to lead again", Duration::from_mins(1), || {
        client.every_partition_has_a_leader(None)
    })?;

    let process = process_entry(kafka.pid())?;
    assert!(process.exists());
    drop(kafka);
    assert!(!process.exists(), "nothing survives a drop");
    Ok(())
}

#[test]
fn redis_keeps_its_data_over_stops_and_forgets_what_a_snapshot_lacks() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    redis.command::<()>(&["SET", "key", "1"])?;
    let snapshot = redis.snapshot()?;
    redis.command::<()>(&["SET", "key", "2"])?;
    redis.kill()?;
    assert!(redis.command::<String>(&["GET", "key"]).is_err());
    redis.start_again()?;
    assert_eq!(redis.command::<String>(&["GET", "key"])?, "2");
    redis.stop()?;
    redis.start_again()?;
    assert_eq!(redis.command::<String>(&["GET", "key"])?, "2");
    redis.restore(&snapshot)?;
    assert_eq!(redis.command::<String>(&["GET", "key"])?, "1");

    let process = process_entry(redis.pid())?;
    assert!(process.exists());
    drop(redis);
    assert!(!process.exists(), "nothing survives a drop");
    Ok(())
}

#[test]
fn redis_opens_to_the_right_password_rights_and_certificate() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let options = redis::Options::new().tls(&authority).password("secret");
    let redis = Redis::start(options.user("reader", "open", "~a:* +get +ping"))?;
    assert_eq!(redis.command::<String>(&["PING"])?, "PONG");
    assert_eq!(redis.tls_command::<String>(&authority.certificate(), &["PING"])?, "PONG");
    assert!(redis.tls_command::<String>(&stranger.certificate(), &["PING"]).is_err());

    let reader = ::redis::Client::open(redis.url_of("reader", "open"))?;
    let mut connection = reader.get_connection()?;
    assert_eq!(::redis::cmd("GET").arg("a:1").query::<Option<String>>(&mut connection)?, None);
    assert!(::redis::cmd("GET").arg("b:1").query::<Option<String>>(&mut connection).is_err());
    assert!(::redis::cmd("SET").arg("a:1").arg(1).query::<String>(&mut connection).is_err());
    let guesser = ::redis::Client::open(redis.url_of("reader", "closed"))?;
    assert!(guesser.get_connection().is_err());
    Ok(())
}

#[test]
fn a_cluster_of_one_serves_every_slot_again_after_a_stop() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new().cluster())?;
    redis.command::<()>(&["SET", "{a}:key", "1"])?;
    redis.stop()?;
    redis.start_again()?;
    assert_eq!(redis.command::<String>(&["GET", "{a}:key"])?, "1");
    assert!(redis.url().starts_with("redis-cluster://127.0.0.1:"));
    Ok(())
}

#[test]
fn a_sentinel_promotes_the_replica_of_a_dead_primary() -> Result<()> {
    let mut primary = Redis::start(redis::Options::new())?;
    let replica = Redis::start(redis::Options::new().replica_of(&primary))?;
    primary.command::<()>(&["SET", "key", "1"])?;
    wait_until("the replica to follow", Duration::from_secs(20), || {
        replica.command::<Option<String>>(&["GET", "key"]).is_ok_and(|value| value.as_deref() == Some("1"))
    })?;
    let sentinel = Sentinel::start(&primary, "main")?;
    sentinel.wait_for_replicas(1)?;
    primary.kill()?;
    sentinel.wait_for_primary(replica.port())?;
    assert_eq!(replica.command::<String>(&["SET", "key", "2"])?, "OK");
    Ok(())
}

#[test]
fn a_service_that_cannot_start_shows_its_log() {
    let error = Redis::start(redis::Options::new().config("no-such-setting 1")).unwrap_err();
    assert!(format!("{error:#}").contains("no-such-setting"), "{error:#}");
}

#[test]
fn a_proxy_cuts_holds_and_loses_what_it_is_told_to() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let proxy = Proxy::start(redis.port())?;
    let connect = || -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port()))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(stream)
    };
    let mut client = connect()?;
    assert_eq!(ask(&mut client, "INCR passed")?, ":1\r\n");
    for (loss, stored) in [(Loss::Request, None), (Loss::Reply, Some("1".to_owned()))] {
        let (mut client, key) = (connect()?, format!("{loss:?}"));
        let (lost, answer) = thread::scope(|scope| {
            let wanted = key.clone().into_bytes();
            let has = move |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
            let losing = scope.spawn(|| proxy.lose(loss, has, Duration::from_secs(10)));
            let mut asked = ask(&mut client, "PING");
            // The proxy may not have been told yet.
            while asked.as_deref().is_ok_and(|answer| !answer.is_empty()) {
                redis.command::<i64>(&["DEL", &key])?;
                asked = ask(&mut client, &format!("INCR {key}"));
            }
            Ok::<_, anyhow::Error>((losing.join().expect("it does not panic"), asked))
        })?;
        assert!(lost && answer.is_ok_and(|answer| answer.is_empty()), "{loss:?}: cut without an answer");
        assert_eq!(redis.command::<Option<String>>(&["GET", &key])?, stored, "{loss:?}");
    }
    assert!(!proxy.lose(Loss::Reply, |_| true, Duration::from_millis(50)), "nothing was swallowed");
    proxy.hold();
    assert!(ask(&mut client, "INCR passed").is_err(), "no answer while it is held");
    proxy.release();
    assert_eq!(read(&mut client)?, ":2\r\n");
    assert_eq!(proxy.cut(), 1);
    assert_eq!(read(&mut client)?, "", "its connection is cut");
    Ok(())
}

fn texts(records: &[StoredRecord]) -> Vec<String> {
    records.iter().map(StoredRecord::text).collect()
}

fn answers(client: &Client) -> bool {
    client.every_partition_has_a_leader(None).is_ok()
}

fn process_entry(pid: Option<u32>) -> Result<PathBuf> {
    Ok(PathBuf::from(format!("/proc/{}", pid.context("it is not running")?)))
}

/// What a Redis answers to a command; nothing when the connection is cut.
fn ask(stream: &mut TcpStream, command: &str) -> Result<String> {
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    read(stream)
}

fn read(stream: &mut TcpStream) -> Result<String> {
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned())
}
