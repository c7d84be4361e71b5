//! The contract from outside: nasty and normal records through a real worker, compared with the oracle to the byte.
#![cfg(feature = "lab")]

use anyhow::Result;
use lab::kafka::Kafka;
use lab::oracle::corpus::Corpus;
use lab::oracle::{Condition, Dimension, Fold, Operator, Settings, SourceRecord};
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};

#[test]
fn every_record_of_the_corpus_is_delivered_and_counted_as_the_oracle_says() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 3)?;
    pipeline.feed(&corpus(11, 3, 1500, 40))?;
    pipeline.run_until_end("one", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn every_transformation_together_changes_only_what_it_should() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let mut pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.settings = Settings {
        required: Some(vec!["user_id".into(), "timestamp".into()]),
        defaults: [("locale", "XX"), ("device_type", "none \"\\\n"), ("ip", "10.1.2.3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        filter: vec![Condition {
            field: "ip".into(),
            operator: Operator::NotInNetwork,
            values: vec!["192.168.0.0/16".into(), "2001:db8::/32".into()],
        }],
        output_key: Some("device_id".into()),
        drop: vec!["app_version".into()],
        mask: vec!["ip".into()],
        hash: vec!["device_id".into()],
        hash_key: "a secret".into(),
        dimensions: vec![
            Dimension { field: "locale".into(), fold: Fold::Lower },
            Dimension { field: "app_version".into(), fold: Fold::Keep },
        ],
        time_zone: chrono_tz::Asia::Kathmandu,
        max_values: 7,
        ..pipeline.settings.clone()
    };
    let topics = format!(
        "pipeline: {}\nkafka: {{brokers: [\"{}\"]}}\nredis: {{url: \"{}\"}}\n",
        pipeline.settings.pipeline,
        Kafka::shared().brokers(),
        redis.url()
    );
    let config = format!(
        "{topics}source:\n  topic: {}\n  required: [user_id, timestamp]\n  defaults: {{locale: XX, device_type: \
         \"none \\\"\\\\\\n\", ip: 10.1.2.3}}\nfilter:\n- {{field: ip, operator: NotInNetwork, values: \
         [192.168.0.0/16, \"2001:db8::/32\"]}}\noutput: {{topic: {}, key: device_id, drop: [app_version], mask: [ip], \
         hash: [device_id], hashKey: a secret}}\ndeadLetter: {{topic: {}}}\ninsights:\n  dimensions: [{{field: locale, \
         fold: Lower}}, {{field: app_version}}]\n  timeZone: Asia/Kathmandu\n  maxValues: 7\n",
        pipeline.source, pipeline.output, pipeline.dead_letters
    );
    pipeline.feed(&corpus(12, 2, 1500, 30))?;
    let options = lab::worker::WorkerOptions::new(&config).args(&["--until-end"]);
    let finished = lab::worker::Worker::run(options, std::time::Duration::from_mins(1))?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

fn corpus(seed: u64, partitions: i32, count: usize, nasty_per_cent: u64) -> Vec<SourceRecord> {
    let mut corpus = Corpus::recent(seed, nasty_per_cent);
    (0..partitions).flat_map(|partition| corpus.records(partition, 0, count)).collect()
}
