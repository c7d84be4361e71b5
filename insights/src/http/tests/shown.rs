//! What is shown of the counts: other time zones, tables, the list, and how it runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::Api;
use super::world::{World, at};
use crate::http::{Decision, Lag, PartitionLag, now_ms};
use crate::report::Report;
use crate::store::Store;

/// Logins of 120 days, around changes of clocks.
fn logins() -> Vec<(i32, i64, bool)> {
    let start_ms = at("2026-08-01", 0, 0);
    let step_ms = 7_919_000;
    let login = |number: i64| (i32::from(number % 3 == 0), start_ms + number * step_ms, number % 4 == 0);
    (0..1300).map(login).collect()
}

#[tokio::test]
async fn hours_and_days_of_a_zone_are_those_of_every_kept_login() {
    let (api, mut world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    for (partition, time_ms, is_processed) in logins() {
        world.login(partition, time_ms, is_processed, "android");
    }
    world.flush().await;
    world.publish(at("2026-12-01", 0, 0)).await;
    for zone in [Tz::Asia__Kathmandu, Tz::America__St_Johns, Tz::Europe__Berlin, Tz::Pacific__Apia] {
        let shown = api.get(&format!("/api/v1/pipelines/p/insights?tz={zone}")).await.json();
        for (side, is_counted) in [("logins", &(|_| true) as &dyn Fn(bool) -> bool), ("processed", &|is| is)]
        {
            let mut hours = vec![0_u64; 24];
            let mut days: BTreeMap<String, u64> = BTreeMap::new();
            for (_, time_ms, _) in logins().into_iter().filter(|login| is_counted(login.2)) {
                let utc = DateTime::from_timestamp_millis(time_ms - time_ms.rem_euclid(900_000)).unwrap();
                let local = zone.from_utc_datetime(&utc.naive_utc());
                hours[local.hour() as usize] += 1;
                let day = format!("{}-{:02}-{:02}", local.year(), local.month(), local.day());
                *days.entry(day).or_default() += 1;
            }
            assert_eq!(shown[side]["hour_of_day"], json!(hours), "{zone} {side}");
            assert_eq!(shown[side]["days"], json!(days), "{zone} {side}");
            let most = hours.iter().max().unwrap();
            let hour = hours.iter().position(|logins| logins == most).unwrap();
            assert_eq!(shown[side]["peak_hour"], json!({ "hour": hour, "logins": most }), "{zone} {side}");
        }
        assert_eq!(shown["time_zone"]["name"], json!(zone.name()));
        assert_eq!(shown["time_zone"]["positions"], shown["positions"]);
    }
}

#[tokio::test]
async fn counts_beyond_the_publication_say_so_and_counts_before_it_are_not_shown() {
    let (api, mut world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    let path = "/api/v1/pipelines/p/insights?tz=Asia/Kolkata";
    let time_ms = at("2026-11-22", 5, 0);
    world.login(0, time_ms, false, "android");
    world.flush().await;
    world.publish(time_ms).await;
    assert_eq!(api.get(path).await.json()["logins"]["days"], json!({ "2026-11-22": 1 }));
    world.login(0, time_ms, false, "android");
    world.flush().await;
    let ahead = api.get(path).await.json();
    assert_eq!(ahead["positions"], json!({ "0": 1 }));
    assert_eq!(ahead["time_zone"]["positions"], json!({ "0": 2 }));
    assert_eq!(ahead["logins"]["hour_of_day"][10], json!(2));

    // As after a Redis that lost the states and kept the document.
    let document = world.publish(time_ms).await;
    let mut world = World::new();
    world.login(0, time_ms, false, "android");
    world.flush().await;
    world.put(&document).await;
    api.pipelines.put("p", world.store.clone());
    let behind = api.get(path).await;
    assert_eq!(behind.status.as_u16(), 503, "{}", behind.body);
    assert_eq!(api.get("/api/v1/pipelines/p/insights").await.body, document);
}

#[tokio::test]
async fn each_dimension_of_the_table_sums_to_its_total() {
    let (api, mut world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    for (number, (partition, time_ms, is_processed)) in logins().into_iter().enumerate() {
        world.login(partition, time_ms, is_processed, ["=cmd()", "a,b", "\"", "ios"][number % 4]);
    }
    world.reject(0);
    world.flush().await;
    world.publish(at("2026-12-01", 0, 0)).await;
    let table = api.get("/api/v1/pipelines/p/insights.csv?tz=Asia/Kathmandu").await.body;
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for row in table.split_terminator("\r\n").skip(1) {
        let section = row.split(',').next().unwrap();
        *sums.entry(section).or_default() += row.rsplit(',').next().unwrap().parse::<u64>().unwrap();
    }
    for section in ["logins", "logins_by_hour", "logins_by_day"] {
        assert_eq!(sums[section], 1300, "{section}");
    }
    for section in ["processed", "processed_by_hour", "processed_by_day"] {
        assert_eq!(sums[section], 325, "{section}");
    }
    assert!(table.contains("records,,logins,1300\r\n"), "{table}");
    assert!(table.contains("dead_letters,,too_large,1\r\n"), "{table}");
    assert!(table.contains("logins,device,\"'=cmd()\",325\r\n"), "{table}");
}

#[tokio::test]
async fn the_list_tells_of_each_pipeline_what_it_knows() {
    let (api, mut world) = (Api::new(), World::new());
    world.login(0, at("2026-11-22", 5, 0), true, "android");
    world.reject(0);
    world.flush().await;
    world.publish(at("2026-11-22", 6, 0)).await;
    world.store.report("w0", &report(&[(0, 2)], &[(0, 12)]).to_json()).await.unwrap();
    api.pipelines.put("a.full", world.store.clone());
    api.pipelines.put("b.empty", Store::memory());
    let damaged = World::new();
    damaged.put("{\"publication\":\"0000000000000001\"}").await;
    api.pipelines.put("c.damaged", damaged.store);
    let headline = json!({
        "published_at": "2026-11-22T06:00:00.000Z", "complete_through": "2026-11-22T06:00:00.000Z",
        "rebuilding": false, "read": 2, "logins": 1, "processed": 1, "dead_letters": 1,
        "peak_hour": { "hour": 5, "logins": 1 },
        "most_popular": { "device": { "value": "android", "logins": 1 } }
    });
    let expected = json!({ "pipelines": [
        { "id": "a.full", "state": "published", "lag": 10, "headline": headline },
        { "id": "b.empty", "state": "empty", "lag": null, "headline": null },
        { "id": "c.damaged", "state": "unreadable", "lag": null, "headline": null },
    ] });
    assert_eq!(api.get("/api/v1/pipelines").await.json(), expected);
    api.pipelines.remove("a.full");
    let ids = api.get("/api/v1/pipelines").await.json();
    assert_eq!(ids["pipelines"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn lag_is_what_was_told_and_else_what_workers_report() {
    let (api, world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    let path = "/api/v1/pipelines/p/lag";
    let unknown = json!({ "pipeline": "p", "observed_at": null, "total": null, "partitions": [] });
    assert_eq!(api.get(path).await.json(), unknown);
    let report = report(&[(0, 5), (1, 7)], &[(0, 9), (1, 7)]);
    world.store.report("w0", &report.to_json()).await.unwrap();
    let expected = json!({ "pipeline": "p", "observed_at": report.time, "total": 4, "partitions": [
        { "partition": 0, "position": 5, "log_end": 9, "lag": 4 },
        { "partition": 1, "position": 7, "log_end": 7, "lag": 0 },
    ] });
    assert_eq!(api.get(path).await.json(), expected);

    let told = BTreeMap::from([
        (0, PartitionLag::between(Some(5), Some(6))),
        (1, PartitionLag { position: None, log_end: Some(8), lag: Some(3) }),
    ]);
    api.pipelines.set_lag("p", Lag { observed_at_ms: Some(0), partitions: told });
    // A change of address does not forget what was told.
    api.pipelines.put("p", world.store.clone());
    let shown = api.get(path).await.json();
    assert_eq!((&shown["total"], &shown["observed_at"]), (&json!(4), &json!("1970-01-01T00:00:00.000Z")));
    assert_eq!(shown["partitions"][1], json!({ "partition": 1, "position": null, "log_end": 8, "lag": 3 }));
}

#[tokio::test]
async fn replicas_and_decisions_are_shown_as_they_are() {
    let (api, world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    let alive = report(&[(0, 5)], &[]);
    world.store.report("alive", &alive.to_json()).await.unwrap();
    world.store.report("gone", &Report::at(0).to_json()).await.unwrap();
    world.store.report("strange", "<script>").await.unwrap();
    let workers = api.get("/api/v1/pipelines/p/workers").await.json();
    let brief = |worker: &Value| (worker["name"].clone(), worker["alive"].clone());
    let brief: Vec<(Value, Value)> = workers["workers"].as_array().unwrap().iter().map(brief).collect();
    let expected = [("alive", true), ("gone", false), ("strange", false)];
    assert_eq!(brief, expected.map(|(name, is_alive)| (json!(name), json!(is_alive))));
    assert_eq!(workers["workers"][0]["report"], serde_json::to_value(&alive).unwrap());
    assert_eq!(workers["workers"][2]["report"], Value::Null);

    let path = "/api/v1/pipelines/p/decisions";
    assert_eq!(api.get(path).await.json(), json!({ "pipeline": "p", "decisions": [] }));
    let decision = Decision {
        time_ms: 0,
        from: 2,
        to: 4,
        reason: "CatchUp".into(),
        sentence: "2 to 4 replicas: behind by 80 s.".into(),
    };
    api.pipelines.set_decisions("p", vec![decision]);
    let expected = json!([{ "time": "1970-01-01T00:00:00.000Z", "from": 2, "to": 4, "reason": "CatchUp",
        "sentence": "2 to 4 replicas: behind by 80 s." }]);
    assert_eq!(api.get(path).await.json()["decisions"], expected);
}

fn report(positions: &[(i32, i64)], ends: &[(i32, i64)]) -> Report {
    Report {
        positions: positions.iter().copied().collect(),
        log_ends: ends.iter().copied().collect(),
        ..Report::at(now_ms())
    }
}
