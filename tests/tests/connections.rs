//! Every form of connection that the configuration offers, on the real thing, and what a wrong one says.
#![cfg(feature = "lab")]

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::certificates::Authority;
use lab::kafka::{self, Kafka, Listener, Record, Resource, unique};
use lab::redis::{self, Redis, Sentinel};
use lab::worker::{Finished, Worker, WorkerOptions};
use serde_json::Value;

#[test]
fn kafka_with_scram_plain_and_tls() -> Result<()> {
    let authority = Authority::new()?;
    let options = kafka::Options::new().tls(&authority).client_certificates();
    let kafka = Kafka::start(options.scram_user("worker", "s: #cret").plain_user("plain", "word"))?;
    let redis = Redis::start(redis::Options::new())?;
    let client = authority.issue("client")?;
    let ca = authority.certificate();
    let scram = |mechanism: &str| {
        format!("sasl: {{mechanism: {mechanism}, username: worker, password: \"s: #cret\"}}")
    };
    let forms = [
        (Listener::SaslPlaintext, scram("SCRAM-SHA-256")),
        (Listener::SaslPlaintext, scram("SCRAM-SHA-512")),
        (Listener::SaslPlaintext, "sasl: {mechanism: PLAIN, username: plain, password: word}".to_owned()),
        (
            Listener::Ssl,
            format!(
                "tls: {{ca: {}, certificate: {}, key: {}}}",
                ca.display(),
                client.certificate.display(),
                client.key.display()
            ),
        ),
        (Listener::SaslSsl, format!("tls: {{ca: {}}}, {}", ca.display(), scram("SCRAM-SHA-512"))),
    ];
    for (listener, form) in forms {
        let brokers = kafka.brokers_of(listener)?;
        let kafka_section = format!("{{brokers: [\"{brokers}\"], {form}}}");
        let read = counted(&kafka, &kafka_section, &redis.url(), &[])?;
        assert_eq!(read, Some(3), "{form}");
    }
    Ok(())
}

#[test]
fn a_wrong_kafka_password_is_said_and_waited_for() -> Result<()> {
    let kafka = Kafka::start(kafka::Options::new().scram_user("worker", "right"))?;
    let redis = Redis::start(redis::Options::new())?;
    let brokers = kafka.brokers_of(Listener::SaslPlaintext)?;
    let kafka_section = format!(
        "{{brokers: [\"{brokers}\"], sasl: {{mechanism: SCRAM-SHA-256, username: worker, password: wrong}}}}"
    );
    let config = configuration(&unique("c").to_lowercase(), &kafka_section, &redis.url());
    let mut worker = Worker::start(WorkerOptions::new(&config).args(&["--log-format", "text"]))?;
    let line = worker.wait_for_line("waiting for Kafka; nothing is lost", DEADLINE)?;
    assert!(line.contains("kafka.sasl") && !line.contains("wrong,"), "{line}");
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    Ok(())
}

#[test]
fn a_worker_with_the_rights_that_the_readme_lists_does_its_job() -> Result<()> {
    let kafka = Kafka::start(kafka::Options::new().scram_user("worker", "w").access_control())?;
    let redis = Redis::start(redis::Options::new())?;
    let id = unique("c").to_lowercase();
    let topics = topics(&kafka, &id)?;
    kafka.allow("worker", &["Read"], Resource::Topic(&topics[0]))?;
    kafka.allow("worker", &["Write"], Resource::Topic(&topics[1]))?;
    kafka.allow("worker", &["Write"], Resource::Topic(&topics[2]))?;
    kafka.allow("worker", &["Read"], Resource::Group(&format!("rollcall.{id}")))?;
    kafka.allow("worker", &["Write", "Describe"], Resource::TransactionalId(&format!("{id}/w")))?;
    let brokers = kafka.brokers_of(Listener::SaslPlaintext)?;
    let kafka_section = format!(
        "{{brokers: [\"{brokers}\"], sasl: {{mechanism: SCRAM-SHA-256, username: worker, password: w}}}}"
    );
    let finished = run(&configuration(&id, &kafka_section, &redis.url()), &[])?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(read_of(&finished.stdout), Some(3));
    Ok(())
}

#[test]
fn redis_with_a_password_tls_sentinel_and_cluster() -> Result<()> {
    let kafka = Kafka::shared();
    let kafka_section = format!("{{brokers: [\"{}\"]}}", kafka.brokers());
    let rights = "~rollcall:* -@all +evalsha +eval +type +get +getrange +set +hget +hgetall +hset +hdel +zadd +unlink +info";

    let redis = Redis::start(redis::Options::new().user("worker", "p@ss", rights))?;
    assert_eq!(counted(kafka, &kafka_section, &redis.url_of("worker", "p%40ss"), &[])?, Some(3), "a user");

    let authority = Authority::new()?;
    let redis = Redis::start(redis::Options::new().tls(&authority))?;
    let trusted = authority.certificate().display().to_string();
    let environment = [("SSL_CERT_FILE", trusted.as_str())];
    assert_eq!(counted(kafka, &kafka_section, &redis.tls_url()?, &environment)?, Some(3), "TLS");

    let primary = Redis::start(redis::Options::new())?;
    let sentinel = Sentinel::start(&primary, "mymaster")?;
    assert_eq!(counted(kafka, &kafka_section, &sentinel.url(), &[])?, Some(3), "Sentinel");

    let cluster = Redis::start(redis::Options::new().cluster())?;
    let url = format!("redis-cluster://127.0.0.1:{}", cluster.port());
    assert_eq!(counted(kafka, &kafka_section, &url, &[])?, Some(3), "a cluster");
    Ok(())
}

#[test]
fn a_wrong_redis_password_is_said_without_the_password() -> Result<()> {
    let redis = Redis::start(redis::Options::new().password("right"))?;
    let kafka_section = format!("{{brokers: [\"{}\"]}}", Kafka::shared().brokers());
    let id = unique("c").to_lowercase();
    topics(Kafka::shared(), &id)?;
    let url = format!("redis://:secretword@127.0.0.1:{}", redis.port());
    let config = configuration(&id, &kafka_section, &url);
    let mut worker = Worker::start(WorkerOptions::new(&config).args(&["--log-format", "text"]))?;
    worker.wait_for_line("waiting for Redis; nothing is lost", DEADLINE)?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    assert!(!worker.stderr().contains("secretword"), "{}", worker.stderr());
    Ok(())
}

/// How many records a run counts over these connections.
fn counted(
    kafka: &Kafka,
    kafka_section: &str,
    redis_url: &str,
    environment: &[(&str, &str)],
) -> Result<Option<u64>> {
    let id = unique("c").to_lowercase();
    topics(kafka, &id)?;
    let finished = run(&configuration(&id, kafka_section, redis_url), environment)?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    Ok(read_of(&finished.stdout))
}

/// The source with three records, the output and the dead letters.
fn topics(kafka: &Kafka, id: &str) -> Result<[String; 3]> {
    let names = ["source", "output", "dead"].map(|what| format!("{id}-{what}"));
    for name in &names {
        kafka.create_topic(name, 1, &[])?;
    }
    kafka.client().produce(&names[0], &[Record::new("1"), Record::new("{}"), Record::new("x")])?;
    Ok(names)
}

fn configuration(id: &str, kafka_section: &str, redis_url: &str) -> String {
    let mut config = format!("pipeline: {id}\nkafka: {kafka_section}\nredis: {{url: \"{redis_url}\"}}\n");
    for (section, what) in [("source", "source"), ("output", "output"), ("deadLetter", "dead")] {
        writeln!(config, "{section}: {{topic: {id}-{what}}}").expect("writing into memory does not fail");
    }
    config
}

fn run(config: &str, environment: &[(&str, &str)]) -> Result<Finished> {
    let mut options = WorkerOptions::new(config).args(&["--name", "w", "--until-end", "--output", "json"]);
    for (name, value) in environment {
        options = options.env(name, value);
    }
    Worker::run(options, DEADLINE).context("the worker runs to the end")
}

fn read_of(printed: &str) -> Option<u64> {
    let document: Value = serde_json::from_str(printed).ok()?;
    document.pointer("/records/read")?.as_u64()
}

const DEADLINE: Duration = Duration::from_mins(1);
