//! Owns running Helm on the chart, and its output as objects.
//! It never judges them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::folder;
use crate::components::helm::helm;

/// What Helm made of the chart.
pub struct Rendered {
    /// Every object, hooks too.
    pub objects: Vec<Value>,
}

/// The chart's objects with these values, as release `rollcall` in namespace `analytics`; an error is Helm's own.
pub fn render(values: &Value) -> Result<Rendered> {
    render_chart(&folder(), values)
}

/// The same of another chart, which may have this one as a dependency.
pub fn render_chart(chart: &Path, values: &Value) -> Result<Rendered> {
    let file = tempfile::NamedTempFile::with_suffix(".json")?;
    fs::write(file.path(), values.to_string())?;
    let arguments = ["template", "rollcall", "--namespace", "analytics", "--values"].map(Path::new);
    let text = run_helm(arguments.into_iter().chain([file.path(), chart]))?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).with_context(|| format!("Helm's output is no YAML:\n{text}"))?;
    Ok(Rendered { objects: documents.into_iter().filter(|document| !document.is_null()).collect() })
}

/// Runs Helm, with nothing of this machine's own settings; its output, or what it complains of.
pub fn run_helm<'a>(arguments: impl IntoIterator<Item = &'a Path>) -> Result<String> {
    let home = tempfile::tempdir()?;
    let output = Command::new(helm()?)
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .output()
        .context("failed to run helm")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        return Ok(text(output.stdout));
    }
    Err(anyhow::anyhow!("{}{}", text(output.stdout), text(output.stderr)))
}

impl Rendered {
    /// The object of this kind and name, written `Kind/name` or `Kind/namespace/name`.
    pub fn find(&self, path: &str) -> Option<&Value> {
        self.objects.iter().find(|object| names(object).iter().any(|name| name == path))
    }
}

/// How an object may be named.
fn names(object: &Value) -> [String; 2] {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    [format!("{kind}/{name}"), format!("{kind}/{namespace}/{name}")]
}
