//! The alerts, as Prometheus' own tool evaluates them, over the metrics of a healthy pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::chart::render;
use lab::components::promtool::promtool;
use serde::Deserialize;
use serde_json::{Value, json};

use super::table::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    #[serde(default)]
    series: BTreeMap<String, String>,
    fires: BTreeSet<String>,
}

/// The groups that the chart renders.
fn rules() -> Result<Value> {
    let rendered = render(&json!({"prometheusRule": {"enabled": true}}))?;
    let rule = rendered.find("PrometheusRule/analytics/rollcall").context("no PrometheusRule")?;
    rule.get("spec").cloned().context("it has no spec")
}

/// Each alert with its expression.
fn alerts(rules: &Value) -> BTreeMap<String, String> {
    let groups = rules.get("groups").and_then(Value::as_array).into_iter().flatten();
    let rules = groups.flat_map(|group| group.get("rules").and_then(Value::as_array).into_iter().flatten());
    rules.map(|rule| (text(rule, "/alert").to_owned(), text(rule, "/expr").to_owned())).collect()
}

/// The metrics that alerts ask for, each with the alert.
pub(crate) fn metrics() -> Result<Vec<(String, String)>> {
    let mut metrics = Vec::new();
    for (alert, expression) in alerts(&rules()?) {
        for word in expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            if word.starts_with("rollcall_") {
                metrics.push((word.strip_suffix("_bucket").unwrap_or(word).to_owned(), alert.clone()));
            }
        }
    }
    Ok(metrics)
}

/// Lets promtool evaluate the scenarios; each alert must fire in one of them.
pub(crate) fn check() -> Result<()> {
    let scenarios: Vec<Scenario> =
        serde_saphyr::from_str(include_str!("alerts.yaml")).context("alerts.yaml")?;
    let rules = rules()?;
    let firing: BTreeSet<String> = scenarios.iter().flat_map(|scenario| scenario.fires.clone()).collect();
    let alerts: BTreeSet<String> = alerts(&rules).into_keys().collect();
    ensure!(firing == alerts, "scenarios for {firing:?}, alerts {alerts:?}");

    let folder = tempfile::tempdir()?;
    let tests: Vec<Value> = scenarios.iter().map(test).collect();
    let file = json!({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": tests});
    std::fs::write(folder.path().join("rules.json"), rules.to_string())?;
    std::fs::write(folder.path().join("tests.json"), file.to_string())?;
    for arguments in [["check", "rules", "rules.json"], ["test", "rules", "tests.json"]] {
        let output = Command::new(promtool()?).args(arguments).current_dir(folder.path()).output()?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// A scenario as promtool has it.
fn test(scenario: &Scenario) -> Value {
    let mut series: BTreeMap<&str, &str> = HEALTHY.into_iter().collect();
    series.extend(scenario.series.iter().map(|(name, values)| (name.as_str(), values.as_str())));
    let input: Vec<Value> = series
        .into_iter()
        .map(|(name, values)| json!({"series": name.replace('{', LABELS), "values": values}))
        .collect();
    let samples: Vec<Value> = scenario
        .fires
        .iter()
        .map(|alert| json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1}))
        .collect();
    json!({
        "name": scenario.name, "interval": "1m", "input_series": input,
        "promql_expr_test": [{
            "expr": "group by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": "30m", "exp_samples": samples,
        }],
    })
}

/// What a scrape adds.
const LABELS: &str = "{namespace=\"analytics\",rollcall=\"user-login\",pod=\"user-login-workers-1\",";

const HEALTHY: [(&str, &str); 17] = [
    ("up{job=\"rollcall-metrics\"}", "1+0x30"),
    ("rollcall_lag_seconds{partition=\"0\"}", "1+0x30"),
    ("rollcall_lag_records{partition=\"0\"}", "10+0x30"),
    ("rollcall_position{partition=\"0\",sink=\"kafka\"}", "0+100x30"),
    ("rollcall_replay_headroom_records{partition=\"0\"}", "100000+0x30"),
    ("rollcall_records_total{outcome=\"passed\"}", "0+25x30"),
    ("rollcall_records_total{outcome=\"filtered\"}", "0+75x30"),
    ("rollcall_transactions_total{outcome=\"committed\"}", "0+100x30"),
    ("rollcall_rebalances_total{kind=\"assigned\"}", "1+0x30"),
    ("rollcall_fenced_total{by=\"redis\"}", "0+0x30"),
    ("rollcall_redis_merge_seconds_bucket{le=\"0.1\"}", "0+100x30"),
    ("rollcall_redis_merge_seconds_bucket{le=\"1\"}", "0+100x30"),
    ("rollcall_redis_merge_seconds_bucket{le=\"+Inf\"}", "0+100x30"),
    ("rollcall_invariant_violations_total{invariant=\"positions_rise\"}", "0+0x30"),
    ("rollcall_dropped_spans_total{}", "0+0x30"),
    ("rollcall_operator_leader{instance=\"a\"}", "1+0x30"),
    ("rollcall_operator_reconcile_errors_total{error=\"write\"}", "0+0x30"),
];
