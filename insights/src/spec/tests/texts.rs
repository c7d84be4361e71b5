//! Claims about the effective text, its way back, and what is printed.

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::super::StoredError;
use super::{FULL, read_default, read_text};

#[test]
fn the_text_of_the_default_never_changes() {
    assert_eq!(
        read_default().text(),
        "{\"deadLetter\":{\"topic\":\"user-login-dlq\"},\
         \"filter\":[{\"field\":\"device_type\",\"operator\":\"In\",\"values\":[\"android\"]},\
         {\"field\":\"app_version\",\"operator\":\"Gt\",\"values\":[\"3.0\"]}],\
         \"insights\":{\"dimensions\":[{\"field\":\"device_type\",\"fold\":\"Lower\"},{\"field\":\"app_version\"},\
         {\"field\":\"locale\",\"fold\":\"Upper\"}],\"hashKey\":\"\",\"maxValues\":1000,\"timeZone\":\"UTC\",\
         \"unique\":[\"user_id\"]},\"kafka\":{\"group\":\"rollcall.user-login\"},\
         \"output\":{\"drop\":[],\"hash\":[],\"hashKey\":\"\",\"key\":\"Source\",\"mask\":[],\
         \"topic\":\"processed-user-login\"},\
         \"source\":{\"defaults\":{},\"fields\":{\"timestamp\":\"timestamp\",\"user\":\"user_id\",\
         \"version\":\"app_version\"},\"maxRecordBytes\":65536,\"required\":[\"user_id\",\"app_version\",\
         \"device_type\",\"timestamp\"],\"startFrom\":\"Earliest\",\"timestampUnit\":\"Seconds\",\
         \"topic\":\"user-login\"}}"
    );
}

#[test]
fn another_wording_is_the_same_text() {
    let plain = read_text("insights: {maxValues: 50, hashKey: s3cret}\nsource: {required: [ip]}").unwrap();
    for wording in [
        "source:\n  required: ['timestamp', \"ip\"]\ninsights:\n  hashKey: ${file:/secret}\n  maxValues: 0x32\n",
        "insights: {hashKey: s3cret, maxValues: \u{24}{MAX}}\nsource: {required: [ip]}\nrevision: 9",
        "insights: {maxValues: 50, hashKey: s3cret, publishEvery: 5s}\nsource: {required: [ip]}\n\
         redis: {url: redis://x}\nkafka: {brokers: [x:1], tls: {ca: /x}, properties: {client.id: x}}",
        "insights: {maxValues: 50, hashKey: s3cret}\nsource: {required: [ip]}\npipeline: p\n\
         kafka: {group: rollcall.user-login}",
    ] {
        assert_eq!(read_text(wording).unwrap().text(), plain.text(), "{wording}");
    }
}

#[test]
fn what_decides_the_counts_changes_the_text() {
    let default = read_default().text();
    for change in [
        "filter: []",
        "insights: {maxValues: 999}",
        "insights: {hashKey: x}",
        "insights: {timeZone: Europe/Berlin}",
        "insights: {unique: []}",
        "insights: {dimensions: [{field: locale}, {field: app_version}, {field: device_type, fold: Lower}]}",
        "output: {drop: [ip]}",
        "output: {hashKey: x}",
        "source: {maxRecordBytes: 65535}",
        "source: {defaults: {locale: x}}",
        "source: {required: []}",
    ] {
        assert_ne!(read_text(change).unwrap().text(), default, "{change}");
    }
}

#[test]
fn a_stored_text_is_adopted_with_my_connections_and_secrets() {
    let stored = read_text(FULL).unwrap();
    let mine = read_text(
        "revision: 3\npipeline: mine\nkafka: {brokers: [mine:1]}\nredis: {url: redis://mine}\n\
         output: {hashKey: canary4}\ninsights: {hashKey: canary5, publishEvery: 2s}",
    )
    .unwrap();
    let adopted = mine.with_text(&stored.text(), stored.revision).unwrap();
    assert_eq!(adopted.text(), stored.text());
    assert_eq!((adopted.revision, adopted.pipeline.as_str()), (7, "mine"));
    assert_eq!(adopted.kafka.brokers, ["mine:1"]);
    assert_eq!(adopted.redis.url.expose_secret(), "redis://mine");
    assert_eq!(adopted.output.hash_key.expose_secret(), "canary4");
    assert_eq!(adopted.insights.hash_key.expose_secret(), "canary5");
    assert_eq!(adopted.insights.publish_every.as_millis(), 2000);
}

#[test]
fn a_stored_text_without_a_secret_is_adopted_without_it() {
    let mine = read_text("insights: {hashKey: new}").unwrap();
    let adopted = mine.with_text(&read_default().text(), 1).unwrap();
    assert_eq!(adopted.insights.hash_key.expose_secret(), "");
    assert_eq!(adopted.text(), read_default().text());
}

#[test]
fn a_stored_text_with_another_secret_is_not_adopted() {
    let stored = read_text("insights: {hashKey: old}").unwrap().text();
    for mine in ["", "insights: {hashKey: new}"] {
        let error = read_text(mine).unwrap().with_text(&stored, 7).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the stored revision 7 uses another insights.hashKey, give that one or raise revision above 7"
        );
    }
}

#[test]
fn a_stored_text_that_is_not_understood_is_not_adopted() {
    let mine = read_default();
    assert!(matches!(mine.with_text("{", 2), Err(StoredError::NotJson { revision: 2, .. })));
    let Err(StoredError::Unusable { source, .. }) = mine.with_text("{\"insights\":{\"later\":1}}", 2) else {
        panic!("it is adopted");
    };
    assert!(source.to_string().starts_with("insights.later: unknown key"), "{source}");
}

#[test]
fn the_printed_configuration_of_an_empty_file() {
    let expected = "\
revision: 1
pipeline: user-login
kafka:
  brokers: [localhost:29092]
  group: rollcall.user-login
  tls: {}
  sasl: {}
  properties: {}
redis:
  url: redis://localhost:6379
source:
  topic: user-login
  startFrom: Earliest
  timestampUnit: Seconds
  maxRecordBytes: 65536
  fields:
    user: user_id
    timestamp: timestamp
    version: app_version
  required: [user_id, app_version, device_type, timestamp]
  defaults: {}
filter:
- {field: device_type, operator: In, values: [android]}
- {field: app_version, operator: Gt, values: [\"3.0\"]}
output:
  topic: processed-user-login
  key: Source
  drop: []
  mask: []
  hash: []
  hashKey: \"\"
deadLetter:
  topic: user-login-dlq
insights:
  dimensions:
  - {field: device_type, fold: Lower}
  - {field: app_version}
  - {field: locale, fold: Upper}
  unique: [user_id]
  hashKey: \"\"
  timeZone: UTC
  maxValues: 1000
  publishEvery: 1s
";
    assert_eq!(read_default().to_yaml(), expected);
}

#[test]
fn neither_print_nor_debug_nor_text_shows_a_secret() {
    let spec = read_text(FULL).unwrap();
    for shown in [
        spec.to_yaml(),
        spec.text(),
        format!("{spec:?}"),
        format!("{spec:#?}"),
        format!("{:?}", spec.identity()),
    ] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert_eq!(spec.to_yaml().matches("***").count(), 5);
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let spec = read_text(FULL).unwrap();
    let printed = spec.to_yaml();
    let read_back = read_text(&printed).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
    assert_eq!(read_back.to_yaml(), printed);
    assert_eq!(read_back.identity(), spec.identity());
    assert_eq!(read_back.filter, spec.filter);
    assert_eq!(read_back.source.defaults, spec.source.defaults);
    assert_eq!(read_back.kafka.tls.unwrap().ca, spec.kafka.tls.unwrap().ca);
}

proptest! {
    #[test]
    fn any_names_and_values_survive_print_and_text(
        field in ".{1,20}", values in prop::collection::vec(".{0,12}", 1..4), default in "[^~].{0,12}",
    ) {
        let mut spec = read_default();
        spec.filter[0].field.clone_from(&field);
        spec.filter[0].values = values;
        spec.source.defaults.insert(field, default);
        prop_assume!(!spec.to_yaml().contains(['\u{fdd0}', '\u{fdd1}']));
        let read_back = read_text(&spec.to_yaml());
        prop_assert_eq!(read_back.map(|read_back| read_back.text()), Ok(spec.text()));
        prop_assert_eq!(read_default().with_text(&spec.text(), 1).unwrap().text(), spec.text());
    }
}
