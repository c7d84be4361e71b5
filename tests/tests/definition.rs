//! The custom resource's definition against a real API server: every case of the operator's own table is accepted or rejected as
//! it says. The operator's unit tests ask the same of the rules alone, so that both agree.
#![cfg(feature = "lab")]

#[cfg(test)]
#[path = "../../operator/src/resource/cases.rs"]
#[expect(dead_code, reason = "the API server judges all cases, also those that only a schema can reject")]
mod cases;

use std::fs;

use anyhow::{Context as _, Result};
use lab::kubernetes::Cluster;

#[test]
fn the_api_server_accepts_and_rejects_what_the_table_says() -> Result<()> {
    let cluster = Cluster::shared();
    cluster.apply(&rollcall_operator::resource::yaml())?;
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: analytics}}")?;
    let established = ["wait", "--for=condition=Established", "--timeout=30s", "crd/rollcalls.rollcall.dev"];
    cluster.kubectl(&established)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rollcall.json");
    let file_name = file.to_str().context("a path that is no text")?;
    let cases = cases::all();
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(before) = case.before() {
            cluster.apply(&before.to_string())?;
        }
        fs::write(&file, case.after().to_string())?;
        let said = cluster.kubectl(&["apply", "--server-side", "--dry-run=server", "--filename", file_name]);
        let said = said.err().map(|error| format!("{error:#}"));
        if !case.expects(said.as_deref()) {
            wrong.push(format!("{}: {}", case.name, said.as_deref().unwrap_or("accepted")));
        }
        if case.before().is_some() {
            cluster.kubectl(&["--namespace=analytics", "delete", "rcl", case.resource_name()])?;
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}
