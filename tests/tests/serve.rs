//! The HTTP API on real services: what it shows is what is stored, in every time zone, while services come and go.
#![cfg(feature = "lab")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::http::{self, Answer};
use lab::kafka::Kafka;
use lab::oracle::SourceRecord;
use lab::oracle::corpus::{Corpus, recent_records};
use lab::pipeline::{Pipeline, positions};
use lab::redis::{Options, Redis};
use lab::wait_for;
use lab::worker::{Worker, WorkerOptions};
use serde_json::Value;

#[test]
fn what_is_stored_is_served_and_any_zone_is_what_the_oracle_counts() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&records_of_many_days())?;
    pipeline.run_until_end("w", &[])?;
    let serve = Serve::start(&pipeline)?;

    let stored: String = redis.command(&["GET", &pipeline.key("insights")])?;
    let insights = serve.get("/insights", 200)?;
    assert_eq!(insights.body, stored, "byte for byte");
    let tag = header(&insights, "etag").context("a tag")?;
    let again = http::get_with(&serve.address, &serve.path("/insights"), &[("If-None-Match", tag)])?;
    assert_eq!((again.status, again.body.as_str()), (304, ""));

    let document: Value = serde_json::from_str(&stored)?;
    let mut logs: BTreeMap<i32, Vec<SourceRecord>> = BTreeMap::new();
    for record in pipeline.source_records()? {
        logs.entry(record.partition).or_default().push(record);
    }
    // A quarter hour, behind UTC, and with a change of clocks among the records.
    for zone in ["Asia/Kathmandu", "America/Bogota", "Europe/Berlin"] {
        let mut settings = pipeline.settings.clone();
        settings.time_zone = zone.parse().map_err(|_| anyhow::anyhow!("{zone} is a zone"))?;
        let expected = lab::oracle::document(&settings, &logs, &positions(&document));
        let shown: Value = serde_json::from_str(&serve.get(&format!("/insights?tz={zone}"), 200)?.body)?;
        for place in
            ["/logins/hour_of_day", "/logins/peak_hour", "/processed/hour_of_day", "/processed/peak_hour"]
        {
            assert_eq!(shown.pointer(place), expected.document.pointer(place), "{zone} {place}");
        }
        let days: BTreeMap<String, u64> = serde_json::from_value(at(&shown, "/logins/days").clone())?;
        assert_eq!(Some(&days), expected.keys.get(&pipeline.key("days")), "{zone}");
        assert!(days.len() > 40, "more days than quarter hours are published of");
        let sum = |place: &str| numbers(at(&shown, place)).iter().sum::<u64>();
        assert_eq!(sum("/processed/days"), sum("/processed/hour_of_day"), "{zone}");
        for same in ["/records", "/logins/by", "/processed/by", "/unique", "/positions"] {
            assert_eq!(shown.pointer(same), document.pointer(same), "{same}");
        }
    }

    let table = serve.get("/insights.csv", 200)?.body;
    let sum = |beginning: &str| -> u64 {
        let rows = table.split("\r\n").filter(|row| row.starts_with(beginning));
        rows.filter_map(|row| row.rsplit(',').next()?.parse::<u64>().ok()).sum()
    };
    for side in ["logins", "processed"] {
        let total = at(&document, &format!("/{side}/total")).as_u64().context("a total")?;
        for dimension in ["device_type", "app_version", "locale"] {
            assert_eq!(sum(&format!("{side},{dimension},")), total, "{side} {dimension}");
        }
        assert_eq!(sum(&format!("records,,{side},")), total);
    }

    let lag: Value = serde_json::from_str(&serve.get("/lag", 200)?.body)?;
    assert_eq!(at(&lag, "/partitions").as_array().map(Vec::len), Some(2));
    assert_eq!(at(&lag, "/total"), &Value::Null, "nobody reports any more");
    Ok(())
}

#[test]
fn events_and_answers_outlive_a_redis_that_stops_and_open_streams_keep_nobody_from_leaving() -> Result<()> {
    let mut redis = Redis::start(Options::new())?;
    let settings = Pipeline::new(Kafka::shared(), &redis, 2)?.settings;
    let feed = |redis: &Redis, seed| -> Result<()> {
        let pipeline = Pipeline::adopt(Kafka::shared(), redis, settings.clone(), 2);
        pipeline.feed(&recent_records(seed, 2, 100))
    };
    feed(&redis, 1)?;
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2);
    let mut worker = pipeline.worker("w", &[])?;
    pipeline.wait_until_published()?;
    let mut serve = Serve::start(&pipeline)?;
    let mut events = http::follow(&serve.address, "/api/v1/events")?;
    let data: Value = serde_json::from_str(&events.next("data: ")?.context("an event")?)?;
    assert_eq!(at(&data, "/id"), &Value::from(settings.pipeline.clone()));
    wait_for("the worker's lag", DEADLINE, || {
        let lag: Value = serde_json::from_str(&serve.get("/lag", 200)?.body)?;
        ensure!(at(&lag, "/total").as_u64() == Some(0), "{lag}");
        let workers: Value = serde_json::from_str(&serve.get("/workers", 200)?.body)?;
        ensure!(at(&workers, "/workers/0/alive") == &Value::Bool(true), "{workers}");
        Ok(())
    })?;

    redis.stop()?;
    wait_for("503 while Redis is away", DEADLINE, || serve.get("/insights", 503))?;
    let problem = serve.get("/insights", 503)?;
    assert!(header(&problem, "content-type") == Some("application/problem+json"), "{problem:?}");
    assert!(header(&problem, "retry-after").is_some(), "{problem:?}");
    wait_for("not ready", DEADLINE, || expect(&serve.metrics, "/readyz", 503))?;
    expect(&serve.metrics, "/healthz", 200)?;
    redis.start_again()?;
    wait_for("answers again", DEADLINE, || serve.get("/insights", 200))?;
    wait_for("ready again", DEADLINE, || expect(&serve.metrics, "/readyz", 200))?;

    let read = |data: &str| -> Result<u64> {
        let data: Value = serde_json::from_str(data)?;
        at(&data, "/headline/read").as_u64().with_context(|| data.to_string())
    };
    let before = read(&data.to_string())?;
    feed(&redis, 2)?;
    while read(&events.next("data: ")?.context("the stream goes on")?)? < before + 200 {}

    let asked_at = Instant::now();
    serve.worker.terminate()?;
    assert_eq!(serve.worker.wait_exit(DEADLINE)?, 0, "{}", serve.worker.stderr());
    assert!(asked_at.elapsed() < Duration::from_secs(10), "{:?}", asked_at.elapsed());
    while events.next("data: ")?.is_some() {}
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    Ok(())
}

/// `rollcall serve` for one pipeline.
struct Serve {
    worker: Worker,
    address: String,
    metrics: String,
    pipeline: String,
}

impl Serve {
    fn start(pipeline: &Pipeline<'_>) -> Result<Self> {
        let addresses = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"];
        let options = WorkerOptions::command(&["serve", "--log-format", "json"]).args(&addresses);
        let worker = Worker::start(options.config(&pipeline.config()))?;
        let address_in = |text: &str| -> Result<String> {
            let line: Value = serde_json::from_str(&worker.wait_for_line(text, DEADLINE)?)?;
            Ok(at(&line, "/address").as_str().context("an address")?.to_owned())
        };
        let metrics = address_in("metrics on /metrics")?;
        let address = address_in("insights on /api/v1/pipelines")?;
        Ok(Self { worker, address, metrics, pipeline: pipeline.settings.pipeline.clone() })
    }

    fn path(&self, what: &str) -> String {
        format!("/api/v1/pipelines/{}{what}", self.pipeline)
    }

    fn get(&self, what: &str, status: u16) -> Result<Answer> {
        expect(&self.address, &self.path(what), status)
    }
}

fn expect(address: &str, path: &str, status: u16) -> Result<Answer> {
    let answer = http::get(address, path)?;
    ensure!(answer.status == status, "{path}: {answer:?}");
    Ok(answer)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let named = |line: &'a str| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name));
    answer.headers.lines().find_map(named).map(|(_, value)| value)
}

fn at<'a>(document: &'a Value, path: &str) -> &'a Value {
    document.pointer(path).unwrap_or(&Value::Null)
}

/// The numbers of a list or of an object.
fn numbers(value: &Value) -> Vec<u64> {
    let list = value.as_array().into_iter().flatten();
    list.chain(value.as_object().into_iter().flat_map(|members| members.values()))
        .filter_map(Value::as_u64)
        .collect()
}

/// Records of 60 days, produced now; some of them are no logins.
fn records_of_many_days() -> Vec<SourceRecord> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let mut records = Vec::new();
    for partition in 0..2 {
        for day in 0..60_i64 {
            let seed = day.unsigned_abs() * 2 + u64::from(partition == 1);
            let hour_ms = (day * 5 % 24) * 3_600_000;
            let mut corpus = Corpus::new(seed, now_ms - day * 86_400_000 - hour_ms, 65_536, 5);
            records.extend(corpus.records(partition, day * 20, 20));
        }
    }
    for record in &mut records {
        record.timestamp_ms = now_ms;
    }
    records
}

const DEADLINE: Duration = Duration::from_mins(1);
