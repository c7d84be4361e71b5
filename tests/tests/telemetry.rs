//! What an operator sees from outside: metrics, health, traces, logs.
#![cfg(feature = "lab")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::components::openmetrics;
use lab::http;
use lab::jaeger::Jaeger;
use lab::kafka::{Kafka, Record, Resource};
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::wait_for;
use lab::worker::{Worker, WorkerOptions, field};
use serde_json::Value;

#[test]
fn a_scrape_is_sound_and_says_what_was_done() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(31, 2, 400))?;
    let worker = pipeline.worker("w", &["--metrics-address", "127.0.0.1:0"])?;
    let address = metrics_address(&worker)?;
    pipeline.wait_until_published()?;
    let document = pipeline.document()?.context("nothing is published")?;
    let number = |path: &str| document.pointer(path).and_then(Value::as_i64).unwrap_or(-1);
    let scrape = http::get(&address, "/metrics")?;
    ensure!(
        scrape.headers.to_lowercase().contains("application/openmetrics-text; version=1.0.0"),
        "{scrape:?}"
    );
    let samples = parse(&scrape.body)?;
    #[expect(clippy::cast_possible_truncation, reason = "counts are whole")]
    let sample = |name: &str| samples.get(name).map_or(-1, |value| value.round() as i64);
    let passed = sample("rollcall_records_total{outcome=passed}");
    let logins = passed + sample("rollcall_records_total{outcome=filtered}");
    assert_eq!(passed, number("/processed/total"), "{samples:?}");
    assert_eq!(logins, number("/logins/total"));
    assert_eq!(sample("rollcall_records_total{outcome=rejected}"), number("/records/dead_letters/total"));
    assert!(sample("rollcall_transactions_total{outcome=committed}") >= 1);
    assert!(sample("rollcall_redis_merge_seconds_count{}") >= 2);
    assert!(sample("rollcall_resident_memory_bytes{}") > 1_000_000);
    for invariant in ["committed_offset_fell", "redis_ahead_of_kafka"] {
        assert_eq!(sample(&format!("rollcall_invariant_violations_total{{invariant={invariant}}}")), 0);
    }
    let (fixed, of_partition): (Vec<_>, Vec<_>) =
        samples.keys().partition(|name| !name.contains("partition="));
    assert!(fixed.len() <= 200, "{} series", fixed.len());
    assert!(of_partition.len() <= 2 * 8, "{of_partition:?}");
    Ok(())
}

#[test]
fn readiness_names_what_is_away_and_the_log_filter_changes_at_run_time() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    let settings = Pipeline::new(Kafka::shared(), &redis, 1)?.settings;
    redis.stop()?;
    let worker = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 1)
        .worker("w", &["--metrics-address", "127.0.0.1:0"])?;
    let address = metrics_address(&worker)?;
    // During the start, then at work.
    for _ in 0..2 {
        redis.stop()?;
        wait_for("the reason", DEADLINE, || {
            let waiting: Value = serde_json::from_str(&expect(&address, "/readyz", 503)?)?;
            let first = waiting.pointer("/waiting/0").context("something is waited for")?;
            ensure!(text(first, "for") == "redis" && !text(first, "why").is_empty(), "{waiting}");
            ensure!(text(first, "since").ends_with('Z'), "{waiting}");
            Ok(())
        })?;
        expect(&address, "/healthz", 200)?;
        redis.start_again()?;
        wait_for("readiness", DEADLINE, || expect(&address, "/readyz", 200))?;
    }
    assert!(!worker.stderr().contains("DEBUG"));
    assert_eq!(http::put(&address, "/log", "rollcall=debug")?.status, 200);
    Pipeline::adopt(Kafka::shared(), &redis, settings, 1).feed(&recent_records(32, 1, 10))?;
    worker.wait_for_line("DEBUG", DEADLINE)?;
    assert_eq!(http::put(&address, "/log", "rollcall=loudly")?.status, 400);
    Ok(())
}

/// The outputs are refused, so that records wait while everything else goes on.
#[test]
fn lag_in_seconds_is_the_age_of_the_oldest_record_that_waits() -> Result<()> {
    let kafka = Pipeline::guarded_kafka()?;
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::guarded(&kafka, &redis, 2)?;
    let group = format!("rollcall.{}", pipeline.settings.pipeline);
    kafka.allow("worker", &["Read"], Resource::Topic(&pipeline.source))?;
    kafka.allow("worker", &["Describe"], Resource::Topic(&pipeline.output))?;
    kafka.allow("worker", &["Write"], Resource::Topic(&pipeline.dead_letters))?;
    kafka.allow("worker", &["Read"], Resource::Group(&group))?;
    let mut workers = Vec::new();
    for name in ["w0", "w1"] {
        let id = format!("{}/{name}", pipeline.settings.pipeline);
        kafka.allow("worker", &["Write", "Describe"], Resource::TransactionalId(&id))?;
    }
    workers.push(pipeline.worker("w0", &["--metrics-address", "127.0.0.1:0"])?);
    let of = |workers: &[Worker]| -> Result<BTreeMap<String, f64>> {
        let mut all = BTreeMap::new();
        for worker in workers {
            all.extend(lags(&metrics_address(worker)?)?);
        }
        ensure!(all.len() == 2, "{all:?}");
        Ok(all)
    };
    let produced_ms = chrono::Utc::now().timestamp_millis() - 7_000;
    // One record above the filter's bound, and nothing in the other partition.
    let login = format!(
        "{{\"user_id\":\"u\",\"app_version\":\"3.1\",\"device_type\":\"android\",\"timestamp\":{}}}",
        produced_ms / 1000
    );
    let record = Record::new(login).partition(0).timestamp(produced_ms);
    kafka.client().produce(&pipeline.source, &[record])?;
    workers[0].wait_for_line("waiting for", DEADLINE)?;
    let is_true = |workers: &[Worker]| {
        wait_for("the true lag", DEADLINE, || {
            let lags = of(workers)?;
            let mut found: Vec<f64> = lags.into_values().collect();
            found.sort_by(f64::total_cmp);
            #[expect(clippy::cast_precision_loss, reason = "some seconds")]
            let truth = (chrono::Utc::now().timestamp_millis() - produced_ms) as f64 / 1000.0;
            ensure!(found[0] == 0.0 && (found[1] - truth).abs() < 1.0, "{found:?}, in truth {truth}");
            Ok(())
        })
    };
    is_true(&workers)?;
    workers.push(pipeline.worker("w1", &["--metrics-address", "127.0.0.1:0"])?);
    workers[1].wait_for_line("partition loaded", DEADLINE)?;
    is_true(&workers)?;
    kafka.allow("worker", &["Write"], Resource::Topic(&pipeline.output))?;
    wait_for("no lag", DEADLINE, || {
        let lags = of(&workers)?;
        ensure!(lags.values().all(|lag| *lag == 0.0), "{lags:?}");
        Ok(())
    })?;
    for worker in &mut workers {
        worker.terminate()?;
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    }
    Ok(())
}

#[test]
fn a_batch_is_a_trace_that_a_producers_trace_leads_to() -> Result<()> {
    let (jaeger, redis) = (Jaeger::start()?, Redis::start(redis::Options::new())?);
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let mut generator = Worker::start(
        WorkerOptions::command(&["generate", "--count", "200", "--rate", "0", "--malformed", "0.1"])
            .config(&pipeline.config())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &jaeger.grpc_endpoint())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            .env("OTEL_SERVICE_NAME", "app")
            .env("OTEL_TRACES_SAMPLER", "traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", "0.2"),
    )?;
    assert_eq!(generator.wait_exit(DEADLINE)?, 0, "{}", generator.stderr());
    let options = WorkerOptions::new(&pipeline.config()).args(&["--name", "w", "--log-format", "json"]);
    let options = options.args(&["--metrics-address", "127.0.0.1:0"]);
    let mut worker = Worker::start(
        options.args(&["--log", "debug"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", &jaeger.http_endpoint()),
    )?;
    pipeline.wait_until_published()?;
    let said: Value = serde_json::from_str(&worker.wait_for_line("metrics on /metrics", DEADLINE)?)?;
    let scrape = http::get(said["address"].as_str().unwrap_or_default(), "/metrics")?.body;
    parse(&scrape)?;
    let exemplar = scrape.split("# {trace_id=\"").nth(1).and_then(|rest| rest.split('"').next());
    let exemplar = exemplar.context("a histogram names a trace")?.to_owned();
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    let produced = jaeger.spans("app")?;
    ensure!(produced.len() >= 10, "{} of 200 producers' spans", produced.len());
    let spans = jaeger.spans("rollcall")?;
    let topic = &pipeline.source;
    conform(&spans, topic, &pipeline.output)?;
    let process: BTreeMap<String, &Value> = spans
        .iter()
        .filter(|span| {
            text(span, "name") == format!("process {topic}")
                && attribute(span, "messaging.batch.message_count").is_some()
        })
        .map(|span| (text(span, "spanId"), span))
        .collect();
    // Each sampled login's trace holds a span of its record, which links to the batch that handled it.
    for sent in &produced {
        let record = spans
            .iter()
            .find(|span| text(span, "parentSpanId") == text(sent, "spanId"))
            .with_context(|| format!("no span of the record behind {sent}"))?;
        assert_eq!(text(record, "traceId"), text(sent, "traceId"));
        assert!(attribute(record, "messaging.kafka.offset").is_some(), "{record}");
        let link = record.pointer("/links/0").context("a record's span links to its batch")?;
        assert!(process.contains_key(&text(link, "spanId")), "{record}");
    }
    // A batch's spans hang together, and its log lines bear its trace.
    for child in ["commit", "send", "EVALSHA"] {
        let found = spans.iter().find(|span| text(span, "name").starts_with(child)).context(child)?;
        assert!(process.contains_key(&text(found, "parentSpanId")), "{found}");
    }
    let traces: BTreeSet<String> = spans.iter().map(|span| text(span, "traceId")).collect();
    let lines: Vec<Value> =
        worker.stderr().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let committed = lines
        .iter()
        .find(|line| line["message"] == "transaction committed" && line.get("trace_id").is_some());
    let committed = committed.context("no log line of a commit bears a trace")?;
    assert!(traces.contains(committed["trace_id"].as_str().unwrap_or_default()), "{committed}");
    assert!(traces.contains(&exemplar), "{exemplar}");
    Ok(())
}

/// One refuses connections, one takes them and says nothing.
#[test]
fn a_collector_that_is_away_or_hangs_costs_spans_and_nothing_else() -> Result<()> {
    let hanging = TcpListener::bind("127.0.0.1:0")?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    for address in [closed, hanging.local_addr()?] {
        let redis = Redis::start(redis::Options::new())?;
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
        pipeline.feed(&recent_records(41, 1, 300))?;
        let options = WorkerOptions::new(&pipeline.config()).args(&["--name", "w", "--log-format", "text"]);
        let mut worker = Worker::start(
            options
                .args(&["--metrics-address", "127.0.0.1:0"])
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        )?;
        pipeline.wait_until_published()?;
        let metrics = metrics_address(&worker)?;
        wait_for("dropped spans", DEADLINE, || {
            let samples = parse(&http::get(&metrics, "/metrics")?.body)?;
            let dropped = samples.get("rollcall_dropped_spans_total{}").copied().unwrap_or_default();
            ensure!(dropped > 0.0, "{dropped}");
            Ok(())
        })?;
        worker.wait_for_line("failed to export spans: they are dropped", DEADLINE)?;
        worker.terminate()?;
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
        assert_eq!(pipeline.differences()?, Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn who_logs_in_is_in_no_log_line_span_metric_or_key() -> Result<()> {
    let (jaeger, redis) = (Jaeger::start()?, Redis::start(redis::Options::new())?);
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    let now_s = chrono::Utc::now().timestamp();
    let login = |user: &str, more: &str| {
        format!(
            "{{\"user_id\":\"{user}\",\"app_version\":\"3.1\",\"device_type\":\"android\",\"ip\":\"10.77.66.55\",\
             \"device_id\":\"canary-device\",\"locale\":\"DE\",\"timestamp\":{now_s}{more}}}"
        )
    };
    let records = [
        Record::new(login("canary-user", "")).key("canary-user").partition(0),
        Record::new(login("canary-user", ",\"app_version\":7")).key("canary-user").partition(0),
        Record::new("{\"user_id\": \"canary-user\"").partition(0),
    ];
    Kafka::shared().client().produce(&pipeline.source, &records)?;
    let options = WorkerOptions::new(&pipeline.config()).args(&["--name", "w", "--log", "trace"]);
    let mut worker = Worker::start(
        options
            .args(&["--metrics-address", "127.0.0.1:0", "--log-format", "text"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &jaeger.http_endpoint()),
    )?;
    let address = metrics_address(&worker)?;
    pipeline.wait_until_published()?;
    let mut seen = http::get(&address, "/metrics")?.body;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0);
    seen += &worker.stderr();
    seen += &Value::from(jaeger.spans("rollcall")?).to_string();
    for key in redis.command::<Vec<String>>(&["KEYS", "*"])? {
        let dump: Vec<u8> = redis.command(&["DUMP", &key])?;
        seen += &key;
        seen += &String::from_utf8_lossy(&dump);
    }
    ensure!(
        ["partition loaded", "android", "spanId"].iter().all(|word| seen.contains(word)),
        "the search looks at what there is"
    );
    for canary in ["canary-user", "canary-device", "10.77.66.55"] {
        assert!(!seen.contains(canary), "{canary} is seen");
    }
    Ok(())
}

/// Each span against the conventions' table (semantic conventions 1.44: messaging, Kafka, databases).
fn conform(spans: &[Value], topic: &str, output: &str) -> Result<()> {
    let mut seen = BTreeSet::new();
    for span in spans {
        let name = text(span, "name");
        let first = name.split(' ').next().unwrap_or_default().to_owned();
        let kind = span.get("kind").and_then(Value::as_u64).context("a span has a kind")?;
        let expected = match first.as_str() {
            "poll" => Some((format!("poll {topic}"), CLIENT, "receive", topic)),
            "process" => Some((format!("process {topic}"), CONSUMER, "process", topic)),
            "send" => Some((format!("send {output}"), CLIENT, "send", output)),
            "commit" => Some((format!("commit {topic}"), CLIENT, "settle", topic)),
            "EVALSHA" => {
                assert_eq!(kind, CLIENT);
                assert_eq!(attribute(span, "db.system.name").as_deref(), Some("redis"));
                assert_eq!(attribute(span, "db.operation.name").as_deref(), Some("EVALSHA"));
                None
            }
            "start" | "assign" | "revoke" => None,
            _ => anyhow::bail!("an unknown span: {span}"),
        };
        if let Some((expected, expected_kind, operation, destination)) = expected {
            assert_eq!((name.as_str(), kind), (expected.as_str(), expected_kind), "{span}");
            for (key, value) in [
                ("messaging.system", "kafka"),
                ("messaging.operation.name", first.as_str()),
                ("messaging.operation.type", operation),
                ("messaging.destination.name", destination),
                ("messaging.client.id", "w"),
            ] {
                assert_eq!(attribute(span, key).as_deref(), Some(value), "{key} of {span}");
            }
            assert!(attribute(span, "messaging.consumer.group.name").is_some(), "{span}");
        }
        let links = span.get("links").and_then(Value::as_array).map_or(0, Vec::len);
        assert!(links <= 128, "{links} links");
        seen.insert(first);
    }
    for name in ["start", "assign", "revoke", "poll", "process", "send", "commit", "EVALSHA"] {
        ensure!(seen.contains(name), "no span {name} among {seen:?}");
    }
    Ok(())
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn attribute(span: &Value, key: &str) -> Option<String> {
    let attributes = span.get("attributes")?.as_array()?;
    let found =
        attributes.iter().find(|attribute| attribute.get("key").and_then(Value::as_str) == Some(key))?;
    let value = found.get("value")?.as_object()?.values().next()?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn metrics_address(worker: &Worker) -> Result<String> {
    let line = worker.wait_for_line("metrics on /metrics", DEADLINE)?;
    field(&line, "address").map(str::to_owned).context("the line says where")
}

fn expect(address: &str, path: &str, status: u16) -> Result<String> {
    let answer = http::get(address, path)?;
    ensure!(answer.status == status, "{answer:?}");
    Ok(answer.body)
}

fn lags(address: &str) -> Result<BTreeMap<String, f64>> {
    let mut samples = parse(&http::get(address, "/metrics")?.body)?;
    samples.retain(|name, _| name.starts_with("rollcall_lag_seconds{"));
    Ok(samples)
}

/// Reads a scrape with the reference parser, which is strict: `name{label=value}` and its value.
fn parse(scrape: &str) -> Result<BTreeMap<String, f64>> {
    let mut python = Command::new(openmetrics::parser()?)
        .args(["-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to run Python")?;
    python.stdin.take().context("a pipe")?.write_all(scrape.as_bytes())?;
    let output = python.wait_with_output()?;
    ensure!(output.status.success(), "the scrape is not sound:\n{scrape}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

const PARSE: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
samples = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))
        samples[f'{sample.name}{{{labels}}}'] = sample.value
print(json.dumps(samples))
";

const CLIENT: u64 = 3;
const CONSUMER: u64 = 5;
const DEADLINE: Duration = Duration::from_mins(1);
