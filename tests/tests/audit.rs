//! The audit on the real thing: it passes what is right, and finds each of many defects that are sown into the data.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::kafka::Kafka;
use lab::oracle::SourceRecord;
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::{Finished, Worker, WorkerOptions};

#[test]
fn what_is_right_is_proved_beside_a_live_worker_too() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 3)?;
    assert!(audit(&pipeline)?.stdout.contains("there is nothing to audit"));
    pipeline.feed(&recent_records(31, 3, 700))?;
    let mut worker = pipeline.worker("w", &[])?;
    pipeline.wait_until_published()?;
    // Half of the work is under way.
    pipeline.feed(&recent_records(32, 3, 700))?;
    let live = audit(&pipeline)?;
    assert_eq!(live.code, 0, "{}{}", live.stdout, live.stderr);
    pipeline.wait_until_published()?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    let rest = audit(&pipeline)?;
    assert_eq!(rest.code, 0, "{}{}", rest.stdout, rest.stderr);
    let proof = "every record below the published positions was counted once in each sink";
    assert_eq!(rest.stderr, "", "nothing is said besides");
    assert!(rest.stdout.contains("4200 records") && rest.stdout.contains(proof), "{}", rest.stdout);
    Ok(())
}

#[test]
fn every_defect_in_the_topics_is_found() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&recent_records(33, 1, 400))?;
    pipeline.run_until_end("w", &[])?;
    let (output, letters) = (pipeline.read(&pipeline.output)?, pipeline.read(&pipeline.dead_letters)?);
    let defects: [Defect; 12] = [
        ("a dropped output", true, |all| drop(all.remove(5)), "missing from the output topic"),
        ("a duplicated output", true, |all| all.insert(6, all[5].clone()), "delivered twice"),
        ("a late duplicate", true, |all| all.push(all[5].clone()), "delivered twice"),
        ("a swapped pair", true, |all| all.swap(5, 6), "out of order"),
        ("a flipped byte", true, |all| flip(&mut all[5].value), "the value of its output differs"),
        ("another key", true, |all| all[5].key = Some(b"another".to_vec()), "the key of its output differs"),
        ("another time", true, |all| all[5].timestamp_ms += 1, "its timestamp was"),
        ("a lost mark", true, |all| drop(all[5].headers.pop()), "without a readable `rollcall-source`"),
        ("a header more", true, |all| all[5].headers.insert(0, ("x".to_owned(), None)), "headers"),
        ("a dropped dead letter", false, |all| drop(all.remove(2)), "missing from the dead letters"),
        ("a duplicated dead letter", false, |all| all.insert(3, all[2].clone()), "delivered twice"),
        ("a wrong reason", false, |all| set_header(&mut all[2], "rollcall-reason", "other"), "must say"),
    ];
    for (name, is_output, sow, words) in defects {
        let (topic, original) =
            if is_output { (&pipeline.output, &output) } else { (&pipeline.dead_letters, &letters) };
        let mut changed = original.clone();
        sow(&mut changed);
        pipeline.rewrite(topic, &changed)?;
        finds(&pipeline, name, words)?;
        pipeline.rewrite(topic, original)?;
    }
    let whole = audit(&pipeline)?;
    assert_eq!(whole.code, 0, "{}{}", whole.stdout, whole.stderr);
    Ok(())
}

#[test]
fn every_defect_in_redis_is_found() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&recent_records(34, 1, 400))?;
    pipeline.run_until_end("w", &[])?;
    let key = |name: &str| pipeline.key(name);
    let internal = |name: &str| format!("rollcall:{{{}/0}}:{name}", pipeline.settings.pipeline);
    let document: String = redis.command(&["GET", &key("insights")])?;
    let edited = |from: &str, to: &str| document.replacen(from, to, 1);
    let insights = key("insights");
    let (stale, gap) = (edited("\"0\":400", "\"0\":399"), edited("\"gaps\":[]", "\"gaps\":[1]"));
    let peak = edited("\"peak_hour\":{\"hour\":", "\"peak_hour\":{\"hour\":9");
    ensure!([&stale, &gap, &peak].iter().all(|text| **text != document), "the edits found their places");
    let part = |wanted: &str| -> Result<(String, String)> {
        let keys: Vec<String> = redis.command(&["KEYS", &internal("*")])?;
        let key = keys
            .into_iter()
            .find(|key| key.contains(wanted))
            .with_context(|| format!("a key with {wanted}"))?;
        let fields: Vec<String> = redis.command(&["HKEYS", &key])?;
        Ok((key, fields.into_iter().next().context("a part")?))
    };
    let published = pipeline.document()?.context("something is published")?;
    let today =
        published.pointer("/unique/user_id/day").and_then(serde_json::Value::as_str).context("a day")?;
    let (unique_key, unique_part) = part(&format!(":distinct:{today}"))?;
    let (day_key, _) = part(":day:")?;
    let head = internal("head");
    let (by, hours, totals, days) = (key("by:device_type"), key("hours"), key("totals"), key("days"));
    let defects: [(&str, Vec<&str>, &str); 11] = [
        ("a count off by one", vec!["HINCRBY", &totals, "logins", "1"], "key totals"),
        ("a count of a value off by one", vec!["ZINCRBY", &by, "1", "android"], "key by:device_type"),
        ("a value more", vec!["ZADD", &by, "1", "made-up"], "key by:device_type"),
        ("a key that is missing", vec!["DEL", &hours], "key hours: is missing"),
        ("a day that is missing", vec!["DEL", &days], "key days: is missing"),
        ("a stale position", vec!["SET", &insights, &stale], "must be"),
        ("a gap that is none", vec!["SET", &insights, &gap], "/gaps"),
        ("a wrong peak hour", vec!["SET", &insights, &peak], "peak_hour"),
        ("a missing distinct value", vec!["HDEL", &unique_key, &unique_part], "stored state"),
        ("a lost day", vec!["DEL", &day_key], "stored state"),
        ("a damaged head", vec!["HSET", &head, "progress", "x"], "its head is damaged"),
    ];
    for (name, defect, words) in defects {
        let touched = defect[1];
        let before: Vec<u8> = redis.command(&["DUMP", touched])?;
        redis.command::<::redis::Value>(&defect)?;
        finds(&pipeline, name, words)?;
        redis.restore_key(touched, &before)?;
    }
    let orphans = [
        key("by:former"),
        internal("day:2001-02-03"),
        internal("attempt"),
        format!("rollcall:{{{}/1}}:head", pipeline.settings.pipeline),
        format!("rollcall:{{{}/x}}:head", pipeline.settings.pipeline),
    ];
    for orphan in &orphans {
        redis.command::<i64>(&["HSET", orphan, "token", "1-0|0|x"])?;
        finds(&pipeline, "an orphan key", &format!("key {orphan}: belongs to no"))?;
        redis.command::<i64>(&["DEL", orphan])?;
    }
    // Another pipeline's, which only begins alike.
    let other = format!("rollcall:{{{}-2/0}}:head", pipeline.settings.pipeline);
    redis.command::<i64>(&["HSET", &other, "token", "1-0|0|x"])?;
    let whole = audit(&pipeline)?;
    assert_eq!(whole.code, 0, "{}{}", whole.stdout, whole.stderr);
    Ok(())
}

/// Its name, whether it is sown into the output topic, how, and the words that must be said of it.
type Defect = (&'static str, bool, fn(&mut Vec<SourceRecord>), &'static str);

fn finds(pipeline: &Pipeline<'_>, defect: &str, words: &str) -> Result<()> {
    let finished = audit(pipeline)?;
    assert_eq!(finished.code, 1, "{defect} was not found: {}{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.contains(words), "{defect}: {words} in {}", finished.stdout);
    assert!(finished.stderr.contains("differences"), "{}", finished.stderr);
    Ok(())
}

fn audit(pipeline: &Pipeline<'_>) -> Result<Finished> {
    let options = WorkerOptions::command(&["audit", "--log-format", "text"]).config(&pipeline.config());
    Worker::run(options, DEADLINE)
}

fn flip(value: &mut Option<Vec<u8>>) {
    if let Some(last) = value.as_mut().and_then(|value| value.last_mut()) {
        *last ^= 1;
    }
}

fn set_header(record: &mut SourceRecord, name: &str, value: &str) {
    for (found, content) in &mut record.headers {
        if found == name {
            *content = Some(value.as_bytes().to_vec());
        }
    }
}

const DEADLINE: Duration = Duration::from_mins(1);
