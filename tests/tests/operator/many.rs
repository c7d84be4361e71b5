//! Many resources and many partitions: what one operator takes for them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::bench::process::{cpu, memory_bytes};
use lab::http;
use lab::worker::{Worker, field};
use serde_json::Value;

use super::site::{self, Ground, Site, condition_of, text};

#[test]
fn an_operator_of_many_stays_small() -> Result<()> {
    let mut site = Site::new(Ground::take()?, "many", 2)?;
    // This machine does not know the pods' names.
    (site.kafka, site.redis) = (r#"brokers: ["172.30.0.1:9092"]"#, r#"url: "redis://172.30.0.1:6379""#);
    // The chart's account and its rights; the operator itself runs here, where it can be measured.
    site.install(&["operator.replicas=0"])?;
    let operator = Operator::start(&site)?;
    site.create_many("mode: Manual, interval: 10s", "replicas: 0\n")?;
    site.until_all_are_ready()?;
    let resident = memory_bytes(operator.process.pid(), "VmRSS")?;
    println!("{RESOURCES} resources: {} MiB resident", resident >> 20);
    assert!(resident < MEMORY_MAX, "{resident} bytes");

    let before = site.writes_by_object()?;
    site.create_many("mode: Manual, interval: 10s", "replicas: 0\ninsights: {timeZone: Europe/Paris}\n")?;
    site.until_all_are_ready()?;
    let after = site.writes_by_object()?;
    let written = |object: &String| after.get(object).unwrap_or(&0) - before.get(object).unwrap_or(&0);
    let changed: BTreeMap<&String, usize> = after.keys().map(|object| (object, written(object))).collect();
    let again: Vec<_> = changed.iter().filter(|(_, writes)| **writes > 1).collect();
    assert!(again.is_empty(), "written more than once for one change: {again:?}");
    // Its configuration, and the workers that read it.
    assert_eq!(changed.values().filter(|writes| **writes == 1).count(), 2 * RESOURCES);
    drop(operator);
    site.kubectl(&["delete", "rcl", "--all"])?;

    many_partitions(&site)
}

/// A look at all partitions and the reconcile that follows take little CPU.
fn many_partitions(site: &Site) -> Result<()> {
    let topic = format!("{}-wide", site.name);
    site.ground.kafka.create_topic(&topic, PARTITIONS, &[])?;
    let operator = Operator::start(site)?;
    let resource = site.resource(&site.name, "mode: Auto, interval: 1s", "desiredState: Paused\n");
    site.ground.cluster.apply(&resource.replace(&site.pipeline().source, &topic))?;
    site.until_it_is("KafkaReachable", "True")?;
    let (pid, count) = (operator.process.pid(), operator.reconciles()?);
    let before = cpu(pid)?;
    let mut reconciles = 0;
    site.until("looks", || {
        reconciles = operator.reconciles()? - count;
        ensure!(reconciles >= 20, "{reconciles} reconciles");
        Ok(())
    })?;
    let each = cpu(pid)?.saturating_sub(before) / u32::try_from(reconciles)?;
    println!("{PARTITIONS} partitions: {} us of CPU a look and its reconcile", each.as_micros());
    assert!(each < CPU_MAX, "{each:?}");
    let resident = memory_bytes(pid, "VmRSS")?;
    println!("one resource of {PARTITIONS} partitions: {} MiB resident", resident >> 20);
    assert!(resident < MEMORY_MAX, "{resident} bytes");
    Ok(())
}

/// An operator that runs beside the cluster, under the chart's account.
struct Operator {
    process: Worker,
    /// Where its metrics are.
    metrics: String,
}

impl Operator {
    fn start(site: &Site) -> Result<Self> {
        let token = site.kubectl(&["create", "token", "rollcall-operator", "--duration=1h"])?;
        let path = site.ground.cluster.kubeconfig();
        let text = std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        let mine = path.with_file_name("operator.kubeconfig");
        std::fs::write(&mine, text.replace("admin-token", token.trim()))?;
        let options = site::operator(&mine, site.namespace).args(&["--log-format", "text"]);
        let worker = Worker::start_operator(site.ground.cluster, options)?;
        let line = worker.wait_for_line("/metrics", Duration::from_secs(20))?;
        let metrics = field(&line, "address").with_context(|| format!("no address in {line}"))?.to_owned();
        Ok(Self { process: worker, metrics })
    }

    /// How many reconciles there were.
    fn reconciles(&self) -> Result<u64> {
        let metrics = http::get(&self.metrics, "/metrics")?.body;
        let name = "rollcall_operator_reconcile_seconds_count ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).context("no such metric")?;
        line.parse().with_context(|| format!("{line} is no number"))
    }
}

impl Site {
    fn create_many(&self, scaling: &str, more: &str) -> Result<()> {
        let resources: Vec<String> =
            (0..RESOURCES).map(|number| self.resource(&format!("r{number}"), scaling, more)).collect();
        self.ground.cluster.apply(&resources.join("\n---\n")).map(drop)
    }

    fn until_all_are_ready(&self) -> Result<()> {
        self.until("all resources to be ready", || {
            let list = self.get(&["rcl"])?;
            let list = list.get("items").and_then(Value::as_array).context("no list")?;
            let is_done = |resource: &&Value| {
                resource.pointer("/status/observedGeneration") == resource.pointer("/metadata/generation")
                    && condition_of(resource, "Ready") == Some("True")
            };
            let done = list.iter().filter(is_done).count();
            ensure!(done == RESOURCES, "{done} of {RESOURCES} are");
            Ok(())
        })
    }

    /// How often the operator wrote each object, statuses apart.
    fn writes_by_object(&self) -> Result<BTreeMap<String, usize>> {
        let mut writes = BTreeMap::new();
        for event in self.events()? {
            let resource = text(&event, "/objectRef/resource");
            let is_write =
                text(&event, "/verb") == "patch" && text(&event, "/objectRef/subresource").is_empty();
            let is_trial = text(&event, "/requestURI").contains("dryRun=All");
            if is_write && !is_trial && resource != "events" {
                *writes.entry(format!("{resource}/{}", text(&event, "/objectRef/name"))).or_default() += 1;
            }
        }
        Ok(writes)
    }
}

const RESOURCES: usize = 200;
const PARTITIONS: i32 = 1000;
const MEMORY_MAX: u64 = 40_000_000;
const CPU_MAX: Duration = Duration::from_millis(100);
