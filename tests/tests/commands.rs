//! The command line: precedence, secrets, help and exit codes, as scripts rely on them.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::Result;
use lab::redis::{Options, Redis};
use lab::worker::{Finished, Worker, WorkerOptions};

#[test]
fn flags_beat_the_environment_which_beats_the_file() -> Result<()> {
    let file = "pipeline: of-the-file\nkafka: {brokers: [file:1]}\nredis: {url: \"redis://file:1\"}\n";
    let printed =
        |options: WorkerOptions| Ok::<_, anyhow::Error>(run(options.args(&["--print-config"]))?.stdout);
    let options = WorkerOptions::new(file);
    let text = printed(options.clone())?;
    assert!(text.contains("pipeline: of-the-file\n") && text.contains("brokers: [file:1]"), "{text}");
    let options = options
        .env("ROLLCALL_PIPELINE", "of-the-environment")
        .env("ROLLCALL_BROKERS", "environment:1,environment:2")
        .env("ROLLCALL_REDIS", "redis://environment:1");
    let text = printed(options.clone())?;
    assert!(text.contains("pipeline: of-the-environment\n"), "{text}");
    assert!(text.contains("brokers: [environment:1, environment:2]"), "{text}");
    assert!(text.contains("url: redis://environment:1\n"), "{text}");
    let flags = ["--pipeline", "of-the-flag", "--brokers", "flag:1", "--redis", "redis://flag:1"];
    let text = printed(options.args(&flags))?;
    assert!(text.contains("pipeline: of-the-flag\n") && text.contains("brokers: [flag:1]"), "{text}");
    assert!(text.contains("url: redis://flag:1\n"), "{text}");
    Ok(())
}

#[test]
fn the_printed_configuration_holds_no_secret_and_can_be_read_again() -> Result<()> {
    let config = "kafka: {sasl: {mechanism: PLAIN, username: u, password: kanarie-1}}\n\
                  redis: {url: \"redis://u:kanarie-2@h:1\"}\n\
                  output: {hash: [device_id], hashKey: kanarie-3}\ninsights: {hashKey: \"${SECRET}\"}\n";
    let options = WorkerOptions::new(config).env("SECRET", "kanarie-4").args(&["--print-config"]);
    let printed = run(options)?;
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(!printed.stdout.contains("kanarie") && !printed.stderr.contains("kanarie"), "{printed:?}");
    assert_eq!(printed.stdout.matches("***").count(), 4, "{}", printed.stdout);

    let plain = run(WorkerOptions::new("revision: 3\nfilter: []\n").args(&["--print-config"]))?;
    assert_eq!(plain.code, 0, "{}", plain.stderr);
    let again = run(WorkerOptions::new(&plain.stdout).args(&["--print-config"]))?;
    assert_eq!(again.stdout, plain.stdout);
    Ok(())
}

#[test]
fn every_command_has_an_example() -> Result<()> {
    for command in ["worker", "demo", "generate", "insights", "serve", "repair"] {
        let help = run(WorkerOptions::command(&[command, "--help"]))?;
        assert_eq!(help.code, 0, "{command}");
        assert!(help.stdout.contains(&format!("Example:\n  rollcall {command}")), "{}", help.stdout);
    }
    Ok(())
}

#[test]
fn bad_usage_ends_with_two_and_says_where() -> Result<()> {
    let cases = [
        (WorkerOptions::command(&["worker", "--max-messages", "ten"]), "--max-messages"),
        (WorkerOptions::command(&["worker", "--name", "a name"]), "--name"),
        (WorkerOptions::command(&["worker", "--config", "/nowhere.yaml"]), "/nowhere.yaml"),
        (WorkerOptions::new("pipeline: a\npipeline: b\n"), "line 2"),
        (WorkerOptions::new("kafka: {properties: {enable.auto.commit: true}}\n"), "enable.auto.commit"),
        (WorkerOptions::new("filter:\n- {field: app_version, operator: Gt, values: [3.0]}\n"), "quote it"),
    ];
    for (options, word) in cases {
        let finished = run(options)?;
        assert_eq!(finished.code, 2, "{}", finished.stderr);
        assert!(finished.stderr.contains(word), "{word} in {}", finished.stderr);
        assert_eq!(finished.stdout, "");
    }
    Ok(())
}

#[test]
fn insights_are_null_before_anything_is_published_and_an_absent_redis_is_named() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let url = redis.url();
    let printed = run(WorkerOptions::command(&["insights", "--output", "json", "--redis", &url]))?;
    assert_eq!((printed.code, printed.stdout.as_str()), (0, "null\n"));
    drop(redis);
    let failed = run(WorkerOptions::command(&["insights", "--redis", &url]))?;
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains(url.trim_start_matches("redis://")), "{}", failed.stderr);
    Ok(())
}

fn run(options: WorkerOptions) -> Result<Finished> {
    Worker::run(options, Duration::from_secs(30))
}
