//! Owns what must be true of any record: the decoder and the oracle say the same of it.
//! It never makes records up.

use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use insights::record::{Decoder, Key, Scratch, Value};
use insights::spec::{
    self, Dimension, Fields, Fold, Operator, OutputKey, Overrides, PipelineSpec, Requirement, Sources,
    TimestampUnit,
};

use crate::oracle::corpus::cases;
use crate::oracle::{self, Condition, Settings, SourceRecord, Verdict, judge};

/// The oracle's settings, and a decoder under the same.
pub(super) struct Setup {
    pub(super) settings: Settings,
    decoder: Decoder,
}

impl Setup {
    /// Settings that the decoder refuses are none: the oracle does not check them.
    pub(super) fn new(settings: Settings) -> Option<Self> {
        let decoder = Decoder::new(&specification(&settings)).ok()?;
        Some(Self { settings, decoder })
    }

    /// Compares both on one record.
    pub(super) fn compare(&self, scratch: &mut Scratch, value: &[u8], timestamp_ms: i64) -> Result<()> {
        let record = SourceRecord {
            partition: 0,
            offset: 0,
            timestamp_ms,
            key: Some(b"source".to_vec()),
            value: Some(value.to_vec()),
            headers: Vec::new(),
        };
        let expected = judge(&self.settings, &record);
        let login = match self.decoder.decode(scratch, Some(value), timestamp_ms) {
            Ok(login) => login,
            Err(rejection) => {
                let Verdict::DeadLetter { reason, field } = expected.verdict else {
                    bail!("rejected as {rejection:?}, but it is {expected:?}");
                };
                ensure!(
                    (rejection.reason.code(), rejection.field) == (reason, field.as_deref()),
                    "rejected as {rejection:?}, not {reason} {field:?}"
                );
                return Ok(());
            }
        };
        let counted =
            expected.counted.with_context(|| format!("a login, but it is {:?}", expected.verdict))?;
        let said = login.counted();
        ensure!(
            said.time_ms.div_euclid(1000) == counted.time_seconds,
            "{} ms, not {counted:?}",
            said.time_ms
        );
        let dimensions: Vec<_> = said.dimensions.map(Value::name).collect();
        ensure!(dimensions == counted.dimensions, "{dimensions:?}, not {counted:?}");
        let unique: Vec<Option<&str>> = said.unique.collect();
        ensure!(
            unique.iter().copied().eq(counted.unique.iter().map(Option::as_deref)),
            "{unique:?}, not {counted:?}"
        );
        let Verdict::Output { key, value } = expected.verdict else {
            ensure!(!said.processed, "it passes, and should not");
            return Ok(());
        };
        ensure!(said.processed, "it does not pass, and should");
        let (mut out, mut buffer) = (Vec::new(), Vec::new());
        login.write_output(&mut out);
        let text = String::from_utf8_lossy;
        ensure!(out == value, "output {:?}, not {:?}", text(&out), text(&value));
        let written = match login.output_key(&mut buffer) {
            Key::Source => record.key,
            Key::Null => None,
            Key::Value(bytes) => Some(bytes.to_vec()),
        };
        ensure!(written == key, "key {written:?}, not {key:?}");
        Ok(())
    }
}

/// Each setup in turn, on one scratch: what was decoded before makes no difference.
pub(super) fn check(input: &[u8]) -> Result<()> {
    let mut scratch = Scratch::default();
    for (number, setup) in SETUPS.iter().enumerate() {
        for timestamp_ms in [NOW_MS, -1] {
            setup
                .compare(&mut scratch, input, timestamp_ms)
                .with_context(|| format!("settings {number}, Kafka's timestamp {timestamp_ms}"))?;
        }
    }
    Ok(())
}

/// The oracle's own nasty records.
pub(super) fn nasty() -> impl Iterator<Item = Vec<u8>> {
    let short = |value: &Vec<u8>| value.len() <= 4096;
    cases(NOW_MS, 65_536).into_iter().filter_map(|case| case.record.value).filter(short)
}

static SETUPS: LazyLock<Vec<Setup>> = LazyLock::new(|| {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let dimension = |field: &str, fold| oracle::Dimension { field: field.to_owned(), fold };
    let condition = |field: &str, operator, values: &[&str]| Condition {
        field: field.to_owned(),
        operator,
        values: names(values),
    };
    let bare = Settings { required: Some(Vec::new()), filter: Vec::new(), ..Settings::default() };
    let short_names = Settings {
        timestamp_field: "t".to_owned(),
        version_field: "v".to_owned(),
        user_field: "u".to_owned(),
        timestamp_unit: oracle::TimestampUnit::Milliseconds,
        dimensions: vec![dimension("a", oracle::Fold::Keep), dimension("é", oracle::Fold::Upper)],
        unique: names(&["u", "b"]),
        ..bare.clone()
    };
    let protects = Settings {
        drop: names(&["device_id", "d"]),
        mask: names(&["ip"]),
        hash: names(&["user_id"]),
        hash_key: "key".to_owned(),
        output_key: Some("user_id".to_owned()),
        ..bare.clone()
    };
    let fills = Settings {
        defaults: [("locale", "zz"), ("extra", "d\"\\\n"), ("ip", "10.9.8.7")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        mask: names(&["ip"]),
        drop: names(&["timestamp"]),
        output_key: Some("locale".to_owned()),
        max_record_bytes: 300,
        ..Settings::default()
    };
    let filters = Settings {
        filter: vec![
            condition("app_version", oracle::Operator::Ge, &["2.0-rc.1"]),
            condition("ip", oracle::Operator::NotInNetwork, &["10.0.0.0/9", "2001:db8::/33"]),
            condition("locale", oracle::Operator::NotIn, &["us", "É"]),
            condition("extra", oracle::Operator::DoesNotExist, &[]),
        ],
        ..bare.clone()
    };
    [Settings::default(), bare, short_names, protects, fills, filters]
        .into_iter()
        .map(|settings| Setup::new(settings).expect("the decoder takes these settings"))
        .collect()
});

/// The same settings as the product has them.
fn specification(settings: &Settings) -> PipelineSpec {
    let sources = Sources { environment: &|_| None, file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let mut spec = spec::read("", &Overrides::default(), &sources).expect("an empty file is a configuration");
    spec.source.timestamp_unit = match settings.timestamp_unit {
        oracle::TimestampUnit::Seconds => TimestampUnit::Seconds,
        oracle::TimestampUnit::Milliseconds => TimestampUnit::Milliseconds,
    };
    spec.source.max_record_bytes = settings.max_record_bytes;
    spec.source.fields = Fields {
        user: settings.user_field.clone(),
        timestamp: settings.timestamp_field.clone(),
        version: settings.version_field.clone(),
    };
    spec.source.required = settings.required_fields().into_iter().map(str::to_owned).collect();
    spec.source.defaults.clone_from(&settings.defaults);
    spec.filter = settings.filter.iter().map(requirement).collect();
    spec.output.key = settings.output_key.clone().map_or(OutputKey::Source, OutputKey::Field);
    spec.output.drop.clone_from(&settings.drop);
    spec.output.mask.clone_from(&settings.mask);
    spec.output.hash.clone_from(&settings.hash);
    spec.output.hash_key = settings.hash_key.clone().into();
    spec.insights.unique.clone_from(&settings.unique);
    let fold = |fold| match fold {
        oracle::Fold::Keep => Fold::None,
        oracle::Fold::Lower => Fold::Lower,
        oracle::Fold::Upper => Fold::Upper,
    };
    let dimensions = settings.dimensions.iter();
    spec.insights.dimensions =
        dimensions.map(|each| Dimension { field: each.field.clone(), fold: fold(each.fold) }).collect();
    spec
}

fn requirement(condition: &Condition) -> Requirement {
    let operator = match condition.operator {
        oracle::Operator::In => Operator::In,
        oracle::Operator::NotIn => Operator::NotIn,
        oracle::Operator::Exists => Operator::Exists,
        oracle::Operator::DoesNotExist => Operator::DoesNotExist,
        oracle::Operator::Gt => Operator::Gt,
        oracle::Operator::Ge => Operator::Ge,
        oracle::Operator::Lt => Operator::Lt,
        oracle::Operator::Le => Operator::Le,
        oracle::Operator::InNetwork => Operator::InNetwork,
        oracle::Operator::NotInNetwork => Operator::NotInNetwork,
    };
    Requirement { field: condition.field.clone(), operator, values: condition.values.clone() }
}

/// 2023-11-14T22:13:20Z.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;
