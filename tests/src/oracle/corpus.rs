//! Owns made-up source records: realistic logins, and the nastiest that the contract speaks of. Never random:
//! the same seed gives the same records.

mod cases;
mod random;
mod texts;

use std::time::{SystemTime, UNIX_EPOCH};

use super::settings::{Headers, SourceRecord};
pub use cases::{Case, cases};
use random::Random;

/// A stream of records for the partitions of a topic.
#[derive(Debug, Clone)]
pub struct Corpus {
    random: Random,
    /// About what the Kafka timestamps say, in milliseconds.
    now_ms: i64,
    /// How many of a hundred records are one of the nasty cases.
    nasty_per_cent: u64,
    cases: Vec<Case>,
}

impl Corpus {
    /// Starts a stream. `max_record_bytes` is the setting of that name; `now_ms` is about the time at which the
    /// records are produced.
    pub fn new(seed: u64, now_ms: i64, max_record_bytes: usize, nasty_per_cent: u64) -> Self {
        Self { random: Random::new(seed), now_ms, nasty_per_cent, cases: cases(now_ms, max_record_bytes) }
    }

    /// Starts a stream of records as of now, for the default settings.
    pub fn recent(seed: u64, nasty_per_cent: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        Self::new(seed, i64::try_from(now.as_millis()).expect("the time fits"), 65_536, nasty_per_cent)
    }

    /// The next record, for this place in the topic.
    pub fn record(&mut self, partition: i32, offset: i64) -> SourceRecord {
        let nasty = self.random.chance(self.nasty_per_cent, 100);
        let case = if nasty { self.cases.get(self.random.below(self.cases.len())) } else { None };
        let mut record = match case {
            Some(case) => case.record.clone(),
            None => self.login(),
        };
        (record.partition, record.offset) = (partition, offset);
        record
    }

    /// The next `count` records of one partition, from `first_offset` on without holes.
    pub fn records(&mut self, partition: i32, first_offset: i64, count: usize) -> Vec<SourceRecord> {
        (first_offset..).take(count).map(|offset| self.record(partition, offset)).collect()
    }

    /// A login as an app sends it, in some order, with white space here and there.
    fn login(&mut self) -> SourceRecord {
        let timestamp_ms = self.now_ms - i64::try_from(self.random.below(10_000)).expect("small");
        let late_seconds = match self.random.below(20) {
            0 => self.random.below(3 * 86_400),
            1 => self.random.below(7_200),
            _ => self.random.below(5),
        };
        let event = timestamp_ms / 1000 - i64::try_from(late_seconds).expect("small");
        let timestamp = match self.random.below(8) {
            0 => format!("\"{event}.5\""),
            1 => format!("{event}.0"),
            2..=4 => event.to_string(),
            _ => format!("\"{event}\""),
        };
        let user = self.random.below(5_000);
        let (version, locale) = (self.random.pick(VERSIONS), self.random.pick(LOCALES));
        let (address, device) = (self.address(), self.random.pick(DEVICES));
        let mut members = vec![
            self.member("user_id", &format!("\"424cdd21-063a-43a7-b91b-{user:012x}\"")),
            self.member("app_version", &format!("\"{version}\"")),
            self.member("ip", &format!("\"{address}\"")),
            self.member("locale", &format!("\"{locale}\"")),
            self.member("device_id", &format!("\"593-47-{user:04}\"")),
            self.member("timestamp", &timestamp),
            self.member("device_type", &format!("\"{device}\"")),
        ];
        if self.random.chance(1, 10) {
            members.push(self.random.pick(EXTRAS).to_owned());
        }
        if self.random.chance(1, 20) {
            members.retain(|member| !member.starts_with("\"locale\""));
        }
        if self.random.chance(1, 3) {
            self.random.shuffle(&mut members);
        }
        let comma = format!("{},{}", self.space(), self.space());
        let value = format!("{}{{{}{}{}}}", self.space(), self.space(), members.join(&comma), self.space());
        SourceRecord {
            partition: 0,
            offset: 0,
            timestamp_ms,
            key: self.key(user),
            value: Some(value.into_bytes()),
            headers: self.headers(),
        }
    }

    fn member(&mut self, name: &str, json: &str) -> String {
        format!("\"{name}\"{}:{}{json}", self.space(), self.space())
    }

    fn address(&mut self) -> String {
        let (one, two) = (self.random.below(65_536), self.random.below(65_536));
        if self.random.chance(1, 5) {
            return format!("2001:db8:{one:x}::{two:x}");
        }
        format!("{}.{}.{}.{}", 1 + one % 223, one / 256, two % 256, two / 256)
    }

    fn space(&mut self) -> &'static str {
        if self.random.chance(1, 12) { self.random.pick(SPACES) } else { "" }
    }

    fn key(&mut self, user: usize) -> Option<Vec<u8>> {
        match self.random.below(10) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(vec![0, 0xff, 0xfe, b'\n', 0x80]),
            _ => Some(format!("{user:012x}").into_bytes()),
        }
    }

    fn headers(&mut self) -> Headers {
        let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        match self.random.below(12) {
            0 => {
                vec![header("traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))]
            }
            1 => vec![header("a", Some(b"1")), header("b", None), header("a", Some(b"2"))],
            2 => vec![header("binary", Some(&[0xff, 0, 0xfe])), header("empty", Some(b""))],
            3 => vec![
                header("rollcall-source", Some(b"1-other:0:7")),
                header("rollcall-reason", Some(b"not_json")),
            ],
            _ => Vec::new(),
        }
    }
}

/// Logins that all pass the default filter, for the offsets from `first` on; user ids are `u<offset>-`, of one day.
pub fn passing_logins(partition: i32, first: i64, count: i64) -> Vec<SourceRecord> {
    let record = |offset: i64| {
        SourceRecord {
        partition,
        offset,
        timestamp_ms: 1_790_000_000_000,
        key: None,
        value: Some(
            format!(
                "{{\"user_id\":\"u{offset}-\",\"app_version\":\"3.1\",\"device_type\":\"android\",\"locale\":\"DE\",\
                 \"timestamp\":1790000000}}"
            )
            .into_bytes(),
        ),
        headers: Vec::new(),
    }
    };
    (first..first + count).map(record).collect()
}

/// So many records of each partition as of now, one in twenty of them nasty.
pub fn recent_records(seed: u64, partitions: i32, count: usize) -> Vec<SourceRecord> {
    let mut corpus = Corpus::recent(seed, 5);
    (0..partitions).flat_map(|partition| corpus.records(partition, 0, count)).collect()
}

const VERSIONS: &[&str] = &[
    "2.3.0",
    "2.9.9",
    "2.10.1",
    "3.0",
    "3.0.0",
    "3",
    "03.0",
    "3.0.1",
    "3.1",
    "3.1.0",
    "3.10",
    "3.9",
    "3.1.0-beta",
    "3.1.0-beta.2",
    "3.0.0-rc.1",
    "3.0.0+build.7",
    "3.0.1+5",
    "4.0.0",
    "10.0",
];
const DEVICES: &[&str] = &["android", "android", "android", "Android", "ANDROID", "iOS", "ios", "ios", "web"];
const LOCALES: &[&str] = &["RU", "US", "us", "DE", "IN", "in", "pt_BR", "zh-Hant", "FR", "ID", "NG"];
const SPACES: &[&str] = &[" ", "  ", "\t", "\n", "\r\n", " \n\t "];
const EXTRAS: &[&str] = &[
    r#""extra":{"a":[1,2,{"b":null}],"c":"\u00e9"}"#,
    r#""extra":[[],{},"",0,-0.0e-0,true,false,null]"#,
    r#""User_ID":"not the field""#,
    r#""extra":"\ud800""#,
    r#""\udfff":1"#,
    r#""extra":1,"extra":2"#,
    r#""":"no name""#,
    r#""big":123456789012345678901234567890.5e+400"#,
];
