//! Claims about whole configuration files.

use std::io;
use std::path::Path;

use super::*;

/// Reads an empty file.
pub(super) fn read_default() -> PipelineSpec {
    read_text("").unwrap()
}

fn read_text(text: &str) -> Result<PipelineSpec, Errors> {
    read_with(text, &Overrides::default())
}

fn read_with(text: &str, overrides: &Overrides) -> Result<PipelineSpec, Errors> {
    let environment = |name: &str| match name {
        "MAX" => Some("50".to_owned()),
        _ => None,
    };
    let file = |path: &Path| match path.to_str() {
        Some("/secret") => Ok("s3cret\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    read(text, overrides, &Sources { environment: &environment, file: &file })
}

mod mistakes;
mod noise;
mod texts;

#[test]
fn an_empty_file_is_the_documented_one() {
    let documented = read_text(DOCUMENTED).unwrap();
    for text in ["", "# nothing\n", "---\n", "kafka:\nfilter:\ninsights: {maxValues: null}\n", "{}"] {
        assert_eq!(read_text(text).unwrap().to_yaml(), documented.to_yaml(), "{text:?}");
    }
}

#[test]
fn the_defaults_are_the_old_scripts_job() {
    let spec = read_default();
    assert_eq!((spec.revision, spec.pipeline.as_str()), (1, "user-login"));
    assert_eq!(spec.kafka.brokers, ["localhost:29092"]);
    assert_eq!(spec.kafka.group, "rollcall.user-login");
    assert!(spec.kafka.tls.is_none() && spec.kafka.sasl.is_none() && spec.kafka.properties.is_empty());
    assert_eq!(spec.redis.url.expose_secret(), "redis://localhost:6379");
    assert_eq!(spec.source.topic, "user-login");
    assert_eq!(spec.source.max_record_bytes, 65_536);
    assert_eq!(spec.source.required, ["user_id", "app_version", "device_type", "timestamp"]);
    assert_eq!(spec.filter[1].operator, Operator::Gt);
    assert_eq!(spec.filter[1].values, ["3.0"]);
    assert_eq!(spec.output.topic, "processed-user-login");
    assert_eq!(spec.dead_letter.topic, "user-login-dlq");
    assert_eq!(spec.insights.dimensions[2], Dimension { field: "locale".to_owned(), fold: Fold::Upper });
    assert_eq!(spec.insights.unique, ["user_id"]);
    assert_eq!(spec.insights.time_zone, chrono_tz::Tz::UTC);
    assert_eq!(spec.insights.max_values.get(), 1000);
    assert_eq!(spec.insights.publish_every.as_millis(), 1000);
}

#[test]
fn user_and_password_of_redis_may_stand_beside_the_url() {
    let url = |text| read_text(text).map(|spec| spec.redis.url.expose_secret().to_owned());
    assert_eq!(
        url("redis: {url: redis://h, username: u, password: '${file:/secret}'}").unwrap(),
        "redis://u:s3cret@h"
    );
    assert_eq!(url("redis: {url: redis://h, password: 'a@b:%41'}").unwrap(), "redis://:a%40b%3A%2541@h");
    for (text, what) in [
        ("redis: {username: u}", "redis.password: is missing or empty, redis.username needs it"),
        (
            "redis: {url: redis://u:p@h, password: p}",
            "redis.password: stands beside a url with a user or a password, remove one",
        ),
    ] {
        assert_eq!(url(text).unwrap_err().to_string(), what);
    }
    let overrides = Overrides { redis: Some("redis://a:b@c".into()), ..Overrides::default() };
    let spec = read_with("redis: {url: redis://h, username: u, password: p}", &overrides).unwrap();
    assert_eq!(spec.redis.url.expose_secret(), "redis://a:b@c");
}

#[test]
fn an_empty_filter_lets_all_through() {
    assert_eq!(read_text("filter: []").unwrap().filter, []);
}

#[test]
fn required_follows_the_fields_and_the_timestamp_is_last() {
    let required = |text| read_text(text).unwrap().source.required;
    assert_eq!(
        required("source: {fields: {user: uid, timestamp: at, version: v}}"),
        ["uid", "v", "device_type", "at"]
    );
    assert_eq!(required("source: {required: []}"), ["timestamp"]);
    assert_eq!(required("source: {required: [timestamp, ip]}"), ["ip", "timestamp"]);
    assert_eq!(required("source: {required: [ip]}"), ["ip", "timestamp"]);
    assert_eq!(
        required("source: {fields: {user: app_version}}"),
        ["app_version", "device_type", "timestamp"]
    );
}

#[test]
fn flags_beat_the_file_and_defaults_follow_them() {
    let overrides = Overrides {
        brokers: Some(vec!["a:1".to_owned(), "${B}:2".to_owned()]),
        redis: Some("redis://u:${X}@r".into()),
        pipeline: Some("other".to_owned()),
    };
    let file = "pipeline: A B\nkafka: {brokers: ['${UNSET}']}\nredis: {url: '${UNSET}'}\n";
    let errors = read_with(file, &overrides).unwrap_err().to_string();
    assert_eq!(errors, "kafka.brokers[1]: \"${B}:2\" is not host:port");
    let overrides = Overrides { brokers: Some(vec!["a:1".to_owned()]), ..overrides };
    let spec = read_with(file, &overrides).unwrap();
    assert_eq!(spec.kafka.brokers, ["a:1"]);
    assert_eq!(spec.kafka.group, "rollcall.other");
    assert_eq!(spec.redis.url.expose_secret(), "redis://u:${X}@r");
    assert_eq!(read_with("redis:\n", &overrides).unwrap().pipeline, "other");
}

#[test]
fn variables_fill_in_numbers_and_never_structure() {
    let read_variable = |text: &str, value: &str| {
        let environment = |_: &str| Some(value.to_owned());
        let file = |_: &Path| Ok(value.to_owned());
        read(text, &Overrides::default(), &Sources { environment: &environment, file: &file })
    };
    let spec = read_text("insights: {maxValues: ${MAX}}").unwrap();
    assert_eq!(spec.insights.max_values.get(), 50);
    for secret in ["a: #b", "x, y: [", "12345", "null", "\"", "line\nbreak", "${X}", "-"] {
        for text in
            ["output: {hashKey: ${X}}", "output: {hashKey: '${X}'}", "output:\n  hashKey: ${file:/x}\n"]
        {
            let spec = read_variable(text, secret).unwrap();
            assert_eq!(spec.output.hash_key.expose_secret(), secret, "{text}");
        }
    }
    assert_eq!(
        read_variable("source: {topic: ${X}}", "").unwrap_err().to_string().split(':').next(),
        Some("source.topic")
    );
    assert!(read_variable("insights: ${X}", "{maxValues: 5}").is_err());
    let spec = read_variable("kafka: {brokers: [${X}:9092, '${X}:1']}\nsource: {topic: $${X}}", "h");
    assert_eq!(spec.unwrap_err().to_string().split(" is no name").next(), Some("source.topic: \"${X}\""));
    let spec = read_variable("kafka: {brokers: [${X}:9092, '${X}:1']} # ${X}", "h").unwrap();
    assert_eq!(spec.kafka.brokers, ["h:9092", "h:1"]);
}

#[test]
fn tls_and_sasl_are_on_when_given() {
    let spec = read_text(
        "kafka:\n  tls: {ca: /ca.pem}\n  sasl: {mechanism: SCRAM-SHA-512, username: u, passwordFile: /secret}\n  \
         properties: {client.id: x, fetch.min.bytes: 5, check.crcs: true}",
    )
    .unwrap();
    let tls = spec.kafka.tls.as_ref().unwrap();
    assert!(tls.hostname_verification && tls.ca.as_deref() == Some(Path::new("/ca.pem")));
    let sasl = spec.kafka.sasl.as_ref().unwrap();
    assert_eq!((sasl.mechanism.as_str(), sasl.password.expose_secret()), ("SCRAM-SHA-512", "s3cret"));
    let properties: Vec<(&str, &str)> =
        spec.kafka.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(properties, [("check.crcs", "true"), ("client.id", "x"), ("fetch.min.bytes", "5")]);
    let system = read_text("kafka: {tls: {hostnameVerification: false}, sasl: {}}").unwrap().kafka;
    assert!(!system.tls.unwrap().hostname_verification && system.sasl.is_none());
}

#[test]
fn all_words_and_units_are_read() {
    let spec = read_text(
        "source: {startFrom: Latest, timestampUnit: Milliseconds}\n\
         output: {key: user_id}\n\
         insights: {timeZone: Asia/Kolkata, publishEvery: 250ms, dimensions: [{field: a, fold: None}]}\n",
    )
    .unwrap();
    assert_eq!(spec.source.start_from, StartFrom::Latest);
    assert_eq!(spec.source.timestamp_unit, TimestampUnit::Milliseconds);
    assert_eq!(spec.output.key, OutputKey::Field("user_id".to_owned()));
    assert_eq!(spec.insights.time_zone, chrono_tz::Tz::Asia__Kolkata);
    assert_eq!(spec.insights.publish_every.as_millis(), 250);
    assert_eq!(spec.insights.dimensions, [Dimension { field: "a".to_owned(), fold: Fold::None }]);
}

/// A file in which everything is set, with secrets.
const FULL: &str = r##"
revision: 7
pipeline: p.1
kafka:
  brokers: ["[::1]:9092", "b:1"]
  group: "12"
  tls: {ca: "/a b", certificate: /c, key: /k, hostnameVerification: false}
  sasl: {mechanism: PLAIN, username: "u: #", password: canary1}
  properties: {ssl.key.password: canary2, client.id: "a: b"}
redis: {url: "rediss://u%40:canary3@h/3"}
source:
  topic: s
  startFrom: Latest
  timestampUnit: Milliseconds
  maxRecordBytes: 10
  fields: {user: "$${X}", timestamp: "null", version: "3"}
  required: ["~", "true"]
  defaults: {"a: b": "${MAX}"}
filter:
- {field: "[x]", operator: NotIn, values: ["", "1", "é\"\u0001\n"]}
- {field: y, operator: Exists}
output: {topic: o, key: "{", drop: [d], mask: [m], hash: [h], hashKey: canary4}
deadLetter: {topic: d}
insights:
  dimensions: [{field: "#", fold: Lower}, {field: x}]
  unique: []
  hashKey: canary5
  timeZone: Europe/Berlin
  maxValues: 9
  publishEvery: 90s
"##;

const DOCUMENTED: &str = r#"
revision: 1                          # raise it with each change of what follows
pipeline: user-login                 # id: names the Redis keys, the default group, the transactional ids
kafka:
  brokers: [localhost:29092]
  group: rollcall.user-login         # default: rollcall.<pipeline>
  tls: {}                            # ca, certificate, key: paths; hostnameVerification
  sasl: {}                           # mechanism, username, password (or passwordFile)
  properties: {}                     # any other librdkafka property, except those that Rollcall locks
redis:
  url: redis://localhost:6379
source:
  topic: user-login
  startFrom: Earliest                # Earliest | Latest
  timestampUnit: Seconds             # Seconds | Milliseconds
  maxRecordBytes: 65536              # of the value
  fields: {user: user_id, timestamp: timestamp, version: app_version}
  required: [user_id, app_version, device_type, timestamp]
  defaults: {}
filter:                              # all must hold; [] lets all through
- {field: device_type, operator: In, values: [android]}
- {field: app_version, operator: Gt, values: ["3.0"]}
output:
  topic: processed-user-login
  key: Source                        # Source, or a field's name
  drop: []
  mask: []
  hash: []
  hashKey: ""
deadLetter:
  topic: user-login-dlq
insights:
  dimensions:
  - {field: device_type, fold: Lower}
  - {field: app_version}
  - {field: locale, fold: Upper}
  unique: [user_id]
  hashKey: ""
  timeZone: UTC
  maxValues: 1000
  publishEvery: 1s
"#;
