//! Upgrades and rollbacks under load: another image, another configuration, other values of the chart.

use anyhow::{Result, ensure};
use lab::kubernetes::{OPERATOR_IMAGE, WORKER_IMAGE};
use serde_json::Value;

use super::site::{Ground, RELEASE, Site, lag_seconds, text};

#[test]
fn an_upgrade_and_its_way_back_lose_nothing_under_load() -> Result<()> {
    let site = Site::new(Ground::take()?, "upgrade", 4)?;
    site.install(&[])?;
    site.create("mode: Manual, interval: 2s", "replicas: 2\n")?;
    site.wait_for_replicas(2)?;
    site.generate("generator", &["--rate", "1000", "--for", "10m", "--users", "1000"])?;
    site.until("records", || {
        ensure!(site.logins()? > 0, "none yet");
        Ok(())
    })?;

    another_configuration(&site)?;
    another_image_and_back(&site)?;
    // With its pod: the log must have come to its end.
    site.kubectl(&["delete", "job/generator", "--cascade=foreground"])?;
    site.is_exact()?;
    site.asks_for_nothing_forbidden()?;
    site.goes()
}

fn another_configuration(site: &Site) -> Result<()> {
    let before = site.template()?;
    site.patch(r#"{"spec":{"kafka":{"properties":{"fetch.wait.max.ms":"50"}}}}"#)?;
    site.is_rolled_out("the configuration", |template| *template != before)?;
    let changed = site.template()?;
    // What was is not what is: it is one more revision.
    site.patch(r#"{"spec":{"kafka":{"properties":null}}}"#)?;
    site.is_rolled_out("the former configuration", |template| *template != changed)
}

fn another_image_and_back(site: &Site) -> Result<()> {
    for (image, name) in [(WORKER_IMAGE, "worker"), (OPERATOR_IMAGE, "operator")] {
        site.ground.cluster.tag_image(image, &format!("docker.io/rollcall/{name}:next"))?;
    }
    let values = [
        "workerDefaults.image.tag=next",
        "operator.image.tag=next",
        "workerDefaults.podLabels.team=identity",
        "logging.level=debug",
    ];
    site.release("upgrade", &values)?;
    let is_next = |template: &Value| {
        text(template, "/spec/containers/0/image").ends_with(":next")
            && text(template, "/metadata/labels/team") == "identity"
    };
    site.is_rolled_out("the next image", is_next)?;
    site.helm(&["rollback", RELEASE, "1", "--wait"])?;
    site.is_rolled_out("the former image", |template| !is_next(template))
}

impl Site {
    fn logins(&self) -> Result<i64> {
        let document = self.pipeline().document()?;
        Ok(document.and_then(|document| document.pointer("/logins/total")?.as_i64()).unwrap_or(0))
    }

    fn template(&self) -> Result<Value> {
        Ok(self.get(&[&self.workers()])?.pointer("/spec/template").cloned().unwrap_or_default())
    }

    /// Waits until all workers are made by a template that `is_it`, and until records came through afterwards. Meanwhile the
    /// lag stays within the latency target.
    fn is_rolled_out(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<()> {
        let mut oldest_s = 0;
        self.until(what, || {
            oldest_s = oldest_s.max(lag_seconds(&self.get_resource()?).unwrap_or(0));
            ensure!(is_it(&self.template()?), "another template");
            Ok(())
        })?;
        self.wait_for_replicas(2)?;
        let counted = self.logins()?;
        self.until("records afterwards", || {
            oldest_s = oldest_s.max(lag_seconds(&self.get_resource()?).unwrap_or(0));
            ensure!(self.logins()? > counted, "none came");
            Ok(())
        })?;
        println!("{what}: the oldest record that waited was {oldest_s} s old");
        assert!(oldest_s < LATENCY_TARGET_S, "{what}: {oldest_s} s");
        Ok(())
    }
}

/// The default.
const LATENCY_TARGET_S: i64 = 60;
