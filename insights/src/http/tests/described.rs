//! The description against the answers: made-up pipelines, and every answer is as `openapi.json` says.

use std::collections::{BTreeMap, HashMap};

use axum::http::Method;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, at};
use super::{Answer, Api};
use crate::http::index::OPENAPI;
use crate::http::{Decision, Lag, PartitionLag};
use crate::report::Report;

/// The description, with a validator for each schema that answers were held against.
struct Description {
    document: Value,
    validators: HashMap<String, Validator>,
}

impl Description {
    fn new() -> Self {
        Self { document: serde_json::from_str(OPENAPI).unwrap(), validators: HashMap::new() }
    }

    /// Finds what is said of this answer, and holds it against it.
    fn check(&mut self, path: &str, method: &Method, answer: &Answer) {
        let place = format!("{method} {path} {}: {}", answer.status, answer.body);
        // Other methods have the answers that are described under GET, as HEAD has.
        let responses = &self.document["paths"][path]["get"]["responses"];
        let mut response = &responses[answer.status.as_str()];
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(reference.trim_start_matches('#')).expect("it is defined");
        }
        assert!(response.is_object(), "not described: {place}");
        for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(answer.headers.contains_key(name), "without {name}: {place}");
        }
        if *method == Method::HEAD || answer.status.as_u16() == 304 {
            assert_eq!(answer.body, "", "{place}");
            return;
        }
        let media_type = answer.header("content-type").split(';').next().unwrap();
        let schema = &response["content"][media_type]["schema"];
        assert!(schema.is_object(), "{media_type} is not described: {place}");
        let key = schema.to_string();
        let value = if media_type.ends_with("json") { answer.json() } else { json!(answer.body) };
        let document = &self.document;
        let validator = self.validators.entry(key).or_insert_with(|| validator(document, schema));
        let mistakes: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(mistakes.is_empty(), "{mistakes:?}: {place}");
    }
}

fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["components"] = document["components"].clone();
    jsonschema::draft202012::options().should_validate_formats(true).build(&whole).expect("it is a schema")
}

/// When it was made, positions and log ends.
type MadeReport = (i64, BTreeMap<i32, i64>, BTreeMap<i32, i64>);

/// Position and log end of each partition.
type MadeLag = BTreeMap<i32, (Option<i64>, Option<i64>)>;

#[derive(Clone, Debug)]
struct Made {
    logins: Vec<(i32, i64, bool, String)>,
    dead_letters: usize,
    published_at_ms: i64,
    reports: BTreeMap<String, Option<MadeReport>>,
    lag: Option<MadeLag>,
    decisions: Vec<(i64, u32, u32, String)>,
    zone: chrono_tz::Tz,
}

fn made() -> impl Strategy<Value = Made> {
    let time_ms = at("2024-01-01", 0, 0)..at("2027-01-01", 0, 0);
    let offsets = || proptest::collection::btree_map(0..5_i32, 0..i64::MAX, 0..4);
    let report = (0..i64::from(u32::MAX), offsets(), offsets());
    let name = "[a-z0-9-]{1,8}";
    (
        proptest::collection::vec((0..3_i32, time_ms.clone(), any::<bool>(), ".{0,6}"), 0..40),
        0..3_usize,
        time_ms,
        proptest::collection::btree_map(name, proptest::option::of(report), 0..4),
        proptest::option::of(proptest::collection::btree_map(
            0..5_i32,
            (proptest::option::of(0..i64::MAX), proptest::option::of(0..i64::MAX)),
            0..5,
        )),
        proptest::collection::vec((0..4_000_000_000_000_i64, 0..99_u32, 0..99_u32, ".*"), 0..3),
        proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
    )
        .prop_map(|(logins, dead_letters, published_at_ms, reports, lag, decisions, zone)| Made {
            logins,
            dead_letters,
            published_at_ms,
            reports,
            lag,
            decisions,
            zone,
        })
}

/// A pipeline that holds what was made up.
async fn fill(api: &Api, made: &Made) {
    let mut world = World::new();
    for (partition, time_ms, is_processed, device) in &made.logins {
        world.login(*partition, *time_ms, *is_processed, device);
    }
    for _ in 0..made.dead_letters {
        world.reject(0);
    }
    if !made.logins.is_empty() || made.dead_letters > 0 {
        world.flush().await;
        world.publish(made.published_at_ms).await;
    }
    for (name, report) in &made.reports {
        let json = report.as_ref().map_or("no report".to_owned(), |(age_ms, positions, log_ends)| {
            let (positions, log_ends) = (positions.clone(), log_ends.clone());
            let time_ms = crate::http::now_ms() - age_ms;
            // Workers of before do not say it.
            let (since_ms, blocked) =
                if age_ms % 2 == 0 { (Some(time_ms), Some(0.25)) } else { (None, None) };
            Report { since_ms, blocked, positions, log_ends, ..Report::at(time_ms) }.to_json()
        });
        world.store.report(name, &json).await.unwrap();
    }
    api.pipelines.put("p", world.store);
    if let Some(lag) = &made.lag {
        let partitions = lag
            .iter()
            .map(|(partition, (position, end))| (*partition, PartitionLag::between(*position, *end)));
        let lag = Lag { observed_at_ms: Some(made.published_at_ms), partitions: partitions.collect() };
        api.pipelines.set_lag("p", lag);
    }
    let decision = |(time_ms, from, to, text): &(i64, u32, u32, String)| Decision {
        time_ms: *time_ms,
        from: *from,
        to: *to,
        reason: "CatchUp".into(),
        sentence: text.clone(),
    };
    api.pipelines.set_decisions("p", made.decisions.iter().map(decision).collect());
}

async fn check_all(description: &mut Description, made: &Made) {
    let api = Api::new();
    fill(&api, made).await;
    #[cfg(feature = "redis")]
    api.pipelines.put("away", super::world::away());
    let paths: Vec<String> = description.document["paths"].as_object().unwrap().keys().cloned().collect();
    let zone = made.zone;
    for path in paths {
        if path == "/api/v1/events" {
            continue;
        }
        for (id, query) in [
            ("p", String::new()),
            ("p", format!("?tz={zone}")),
            ("away", "?tz=x".to_owned()),
            ("away", String::new()),
            ("q", String::new()),
        ] {
            if id == "away" && !cfg!(feature = "redis") {
                continue;
            }
            let asked = format!("{}{query}", path.replace("{id}", id));
            for accept in ["", "text/csv", "image/png"] {
                for method in [Method::GET, Method::HEAD, Method::PUT] {
                    let answer = api.ask(method.clone(), &asked, &[("accept", accept)]).await;
                    description.check(&path, &method, &answer);
                    let tag = answer.header("etag");
                    if !tag.is_empty() {
                        let again = [("accept", accept), ("if-none-match", tag)];
                        let again = api.ask(method.clone(), &asked, &again).await;
                        assert_eq!(again.status.as_u16(), 304, "{asked}");
                        description.check(&path, &method, &again);
                    }
                }
            }
        }
    }
}

#[test]
fn every_answer_is_as_it_is_described() {
    let description = std::cell::RefCell::new(Description::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proptest!(ProptestConfig::with_cases(32), |(made in made())| {
        runtime.block_on(check_all(&mut description.borrow_mut(), &made));
    });
}

#[test]
fn the_example_of_the_contract_is_as_it_is_described() {
    let description = Description::new();
    let insights = validator(&description.document, &json!({ "$ref": "#/components/schemas/Insights" }));
    let document = json!({
        "schema": 1, "pipeline": "user-login", "published_at": "2026-11-22T05:00:00.123Z",
        "complete_through": null, "positions": { "0": 1042 },
        "gaps": [{ "partition": 0, "from": 120, "to": 500, "reason": "retention" }],
        "rebuilding": true, "rebuilt": 0.5, "incarnations": { "0": "1-ab" }, "days_from": "2026-01-01",
        "records": { "read": u64::MAX, "logins": 1, "processed": 1, "filtered": 0,
            "dead_letters": { "total": 1, "too_large": 1 }, "output_refused": 0 },
        "logins": { "total": 1, "by": { "device": { "~other": 1 } }, "hour_of_day": vec![0; 24], "peak_hour": null },
        "processed": { "total": 1, "by": {}, "hour_of_day": vec![0; 24], "peak_hour": { "hour": 23, "logins": 1 } },
        "most_popular": { "device": null },
        "unique": { "user": { "day": "2026-11-22", "value": 1, "low": 1, "high": 2, "method": "hll" } }
    });
    assert!(insights.is_valid(&document), "{:?}", insights.iter_errors(&document).collect::<Vec<_>>());
    for (place, wrong) in [
        ("/logins/hour_of_day", json!(vec![0; 23])),
        ("/processed/peak_hour/hour", json!(24)),
        ("/records/read", json!(-1)),
        ("/gaps/0/reason", json!("bad luck")),
        ("/positions", json!({ "zero": 1 })),
        ("/published_at", json!("yesterday")),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(place).unwrap() = wrong;
        assert!(!insights.is_valid(&document), "{place}");
    }
}
