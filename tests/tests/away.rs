//! Services that go away while records flow: a clear line, nothing lost, and recovery without a restart.
#![cfg(feature = "lab")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::kafka::{self, Kafka};
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::wait_for;

#[test]
fn a_stopped_broker_is_waited_for() -> Result<()> {
    let mut kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(redis::Options::new())?;
    let (config, differences) = {
        let pipeline = Pipeline::new(&kafka, &redis, 2)?;
        pipeline.feed(&recent_records(1, 2, 300))?;
        (pipeline.config(), pipeline.settings)
    };
    let options = lab::worker::WorkerOptions::new(&config).args(&["--name", "w", "--log-format", "text"]);
    let mut worker = lab::worker::Worker::start(options)?;
    worker.wait_for_line("partition loaded", DEADLINE)?;
    kafka.stop()?;
    kafka.start_again()?;
    let pipeline = Pipeline::adopt(&kafka, &redis, differences, 2);
    pipeline.feed(&recent_records(2, 2, 300))?;
    pipeline.wait_until_published()?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_broker_that_is_killed_twice_loses_and_doubles_nothing() -> Result<()> {
    kill_broker_twice(false)
}

#[test]
fn what_a_killed_broker_forgot_of_killed_workers_is_ended_by_workers_of_other_names() -> Result<()> {
    kill_broker_twice(true)
}

/// Killed twice within ten seconds, a broker may call a transaction complete whose end it never wrote down.
fn kill_broker_twice(are_workers_killed: bool) -> Result<()> {
    let mut kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(redis::Options::new())?;
    let settings = Pipeline::new(&kafka, &redis, 2)?.settings;
    let mut workers = Vec::new();
    for name in ["w0", "w1"] {
        workers.push(Pipeline::adopt(&kafka, &redis, settings.clone(), 2).worker(name, &[])?);
    }
    let feeder = Pipeline::adopt(&kafka, &redis, settings.clone(), 2).feeder()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let feeding = scope.spawn(|| -> Result<()> {
            for round in 0..1000 {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                feeder.feed(&recent_records(round, 2, 20))?;
            }
            Ok(())
        });
        let killed = (|| -> Result<()> {
            for worker in &mut workers {
                worker.wait_for_line("partition loaded", DEADLINE)?;
            }
            kafka.kill()?;
            kafka.start_again()?;
            kafka.kill()?;
            if are_workers_killed {
                workers.drain(..).try_for_each(|mut worker| worker.kill())?;
            }
            kafka.start_again()
        })();
        is_over.store(true, Ordering::Relaxed);
        feeding.join().expect("the feeder does not panic")?;
        killed
    })?;
    let pipeline = Pipeline::adopt(&kafka, &redis, settings, 2);
    if are_workers_killed {
        workers = vec![pipeline.worker("w2", &[])?, pipeline.worker("w3", &[])?];
    }
    pipeline.wait_until_published()?;
    for worker in &mut workers {
        worker.terminate()?;
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    }
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_stopped_redis_is_waited_for_and_the_output_goes_on() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    let settings = {
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
        pipeline.feed(&recent_records(3, 2, 300))?;
        pipeline.settings
    };
    let config = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2).config();
    let options = lab::worker::WorkerOptions::new(&config).args(&["--name", "w", "--log-format", "text"]);
    let mut worker = lab::worker::Worker::start(options)?;
    Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2).wait_until_published()?;
    redis.stop()?;
    let before = Kafka::shared()
        .client()
        .read(&format!("{}-output", settings.pipeline), kafka::Isolation::Committed)?;
    Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2).feed(&recent_records(4, 2, 300))?;
    wait_for("outputs while Redis is away", DEADLINE, || {
        let topic = format!("{}-output", settings.pipeline);
        let now = Kafka::shared().client().read(&topic, kafka::Isolation::Committed)?;
        ensure!(now.len() > before.len(), "still {} outputs", now.len());
        Ok(())
    })?;
    worker.wait_for_line("waiting for Redis; nothing is lost", DEADLINE)?;
    redis.start_again()?;
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings, 2);
    pipeline.wait_until_published()?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_redis_that_was_emptied_or_rolled_back_while_nothing_flows_is_right_again() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(5, 2, 400))?;
    let mut worker = pipeline.worker("w", &[])?;
    pipeline.wait_until_published()?;
    redis.command::<String>(&["FLUSHALL"])?;
    pipeline.wait_until_published()?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn what_was_damaged_in_redis_is_counted_again() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&recent_records(8, 1, 400))?;
    pipeline.run_until_end("w", &[])?;
    let keys: Vec<String> =
        redis.command(&["KEYS", &format!("rollcall:{{{}/0}}:*", pipeline.settings.pipeline)])?;
    assert!(keys.len() > 2, "a head and some parts: {keys:?}");
    let head = keys.iter().find(|key| key.ends_with(":head")).context("a head")?;
    let fields: Vec<String> = redis.command(&["HKEYS", head])?;
    let mut damages = vec![vec!["HSET", head, "token", "1-0|0|unknown"]];
    damages.extend(keys.iter().map(|key| vec!["DEL", key]));
    damages
        .extend(fields.iter().filter(|field| *field != "token").map(|field| vec!["HSET", head, field, "x"]));
    for damage in damages {
        redis.command::<i64>(&damage)?;
        pipeline.run_until_end("w", &[]).with_context(|| format!("after {damage:?}"))?;
        assert_eq!(pipeline.differences()?, Vec::<String>::new(), "after {damage:?}");
    }
    Ok(())
}

#[test]
fn a_redis_that_evicts_is_refused() -> Result<()> {
    let redis = Redis::start(redis::Options::new().config("maxmemory-policy allkeys-lru"))?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    let options = lab::worker::WorkerOptions::new(&pipeline.config());
    let finished = lab::worker::Worker::run(options, DEADLINE)?;
    assert_eq!(finished.code, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("allkeys-lru"), "{}", finished.stderr);
    Ok(())
}

#[test]
fn a_wrong_configuration_file_ends_with_two_and_every_mistake() -> Result<()> {
    let options = lab::worker::WorkerOptions::new("pipeline: UPPER\ninsights: {maxValues: 0}\nsourc: 1\n");
    let finished = lab::worker::Worker::run(options, DEADLINE)?;
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    for part in ["pipeline: ", "insights.maxValues: ", "line 3: "] {
        assert!(finished.stderr.contains(part), "{part} in {}", finished.stderr);
    }
    Ok(())
}

#[test]
fn another_filter_with_the_same_revision_is_refused_and_another_topic_always() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let mut pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&recent_records(6, 1, 50))?;
    pipeline.run_until_end("w", &[])?;
    pipeline.more = "filter: []\n".to_owned();
    let run = |config: String| lab::worker::Worker::run(lab::worker::WorkerOptions::new(&config), DEADLINE);
    let finished = run(pipeline.config())?;
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("raise `revision`"), "{}", finished.stderr);
    let other = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.more = String::new();
    let config = pipeline.config().replace(&pipeline.source, &other.source);
    let finished = run(config)?;
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    for name in [&pipeline.source, &other.source] {
        assert!(finished.stderr.contains(name.as_str()), "{name} in {}", finished.stderr);
    }
    Ok(())
}

const DEADLINE: Duration = Duration::from_mins(1);
