//! The Helm chart: what it renders for which values, what it refuses, and what holds for every object.
#![cfg(feature = "lab")]

mod chart {
    pub(crate) mod alerts;
    pub(crate) mod invariants;
    pub(crate) mod rights;
    pub(crate) mod table;
    pub(crate) mod values;
}

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::chart::{folder, render, render_chart, run_helm};
use serde_json::{Value, json};

use chart::{alerts, table, values};

#[test]
fn each_case_of_the_table_holds() -> Result<()> {
    let cases = table::cases()?;
    assert!(cases.len() > 40, "{} cases", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| table::check(case).err().map(|error| format!("{}: {error:#}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[test]
fn every_value_changes_what_is_rendered() -> Result<()> {
    let everything = values::everything();
    let usual = render(&everything)?.objects;
    let mut idle = Vec::new();
    for change in values::changes()? {
        let mut changed = everything.clone();
        values::merge(&mut changed, &change.values);
        if render(&changed).with_context(|| change.path.clone())?.objects == usual {
            idle.push(change.path);
        }
    }
    assert!(idle.is_empty(), "these values do nothing: {}", idle.join(", "));
    Ok(())
}

#[test]
fn helm_finds_nothing_to_complain_of() -> Result<()> {
    for values in [json!({}), values::everything(), json!({"enabled": false})] {
        let file = tempfile::NamedTempFile::with_suffix(".json")?;
        std::fs::write(file.path(), values.to_string())?;
        let chart = folder();
        let arguments = ["lint", "--strict", "--quiet", "--values"].map(Path::new);
        run_helm(arguments.into_iter().chain([file.path(), &chart]))?;
    }
    Ok(())
}

#[test]
fn its_package_is_a_dependency_of_other_charts() -> Result<()> {
    let parent = tempfile::tempdir()?;
    let version = env!("CARGO_PKG_VERSION");
    let dependency = json!({"name": "rollcall", "version": version, "condition": "rollcall.enabled"});
    let chart =
        json!({"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]});
    std::fs::write(parent.path().join("Chart.yaml"), chart.to_string())?;
    let (own, packages) = (folder(), parent.path().join("charts"));
    run_helm([Path::new("package"), &own, Path::new("--destination"), &packages])?;

    let shared = json!({"global": {"commonLabels": {"team": "a"}, "storageClass": "of another chart"}});
    let rendered = render_chart(parent.path(), &shared)?;
    let deployment = rendered.find("Deployment/analytics/rollcall-operator").context("no Deployment")?;
    assert_eq!(deployment.pointer("/metadata/labels/team"), Some(&json!("a")));
    assert!(render_chart(parent.path(), &json!({"rollcall": {"enabled": false}}))?.objects.is_empty());
    Ok(())
}

#[test]
fn rendering_twice_gives_the_same() -> Result<()> {
    let everything = values::everything();
    assert_eq!(render(&everything)?.objects, render(&everything)?.objects);
    Ok(())
}

#[test]
fn the_chart_is_of_the_same_version_as_the_crates() -> Result<()> {
    let chart: Value = serde_saphyr::from_str(&std::fs::read_to_string(folder().join("Chart.yaml"))?)?;
    assert_eq!(chart.pointer("/version"), Some(&json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(chart.pointer("/appVersion"), Some(&json!(env!("CARGO_PKG_VERSION"))));
    Ok(())
}

#[test]
fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    alerts::check()
}

#[test]
fn alerts_ask_for_metrics_that_exist() -> Result<()> {
    // The table in there is compared with what the worker declares.
    let readme = std::fs::read_to_string(folder().join("../../README.md"))?;
    for (metric, alert) in alerts::metrics()? {
        let is_known =
            metric.starts_with("rollcall_operator_") || readme.contains(&format!("| `{metric}` |"));
        assert!(is_known, "{alert} asks for {metric}");
    }
    Ok(())
}

#[test]
fn alerts_ask_for_metrics_that_the_operator_has() -> Result<()> {
    let source = std::fs::read_to_string(folder().join("../../operator/src/metrics.rs"))?;
    for (metric, alert) in alerts::metrics()? {
        let name = metric.strip_suffix("_total").unwrap_or(&metric);
        let is_known = !metric.starts_with("rollcall_operator_") || source.contains(&format!("\"{name}\""));
        assert!(is_known, "{alert} asks for {metric}");
    }
    Ok(())
}

#[test]
fn the_chart_holds_the_definition_that_the_operator_prints() -> Result<()> {
    let output = Command::new(operator()?).arg("crd").output().context("failed to run rollcall-operator")?;
    let held = std::fs::read_to_string(folder().join("files/crd.yaml"))?;
    assert!(
        String::from_utf8(output.stdout)? == held,
        "run `rollcall-operator crd > charts/rollcall/files/crd.yaml`"
    );
    // The template puts labels and annotations in by text.
    let definition: Value = serde_saphyr::from_str(&held)?;
    assert_eq!(definition.pointer("/metadata"), Some(&json!({"name": "rollcalls.rollcall.dev"})));
    Ok(())
}

/// The operator that was built with the program under test.
fn operator() -> Result<PathBuf> {
    let rollcall =
        std::env::var_os("ROLLCALL_BIN").context("ROLLCALL_BIN is not set: run `cargo lab test`")?;
    Ok(Path::new(&rollcall).with_file_name("rollcall-operator"))
}
