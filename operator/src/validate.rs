//! Whether a resource can be run: pure, and the only way to what `build` takes.
//!
//! Owns which mistakes there are and how they are told. What the configuration file means is `insights::spec`'s: it reads the
//! rendered file here, as each worker will.

use insights::spec::{self, Identity, Overrides, PipelineSpec, Sources};
use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::render::{self, Rendered};
use crate::resource::Rollcall;

/// A resource that can be run.
#[derive(Clone, Debug)]
pub struct Valid {
    /// The pipeline's id.
    pub pipeline: String,
    /// The workers' file.
    pub rendered: Rendered,
    /// What the file means, with placeholders in place of secrets.
    pub spec: PipelineSpec,
    /// What was passed through, read as Kubernetes' own types.
    pub pods: Pods,
}

/// What a resource says of its pods in Kubernetes' own words.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    /// `workers.affinity`.
    pub affinity: Option<Affinity>,
    /// `workers.tolerations`.
    pub tolerations: Vec<Toleration>,
    /// `workers.topologySpreadConstraints`.
    pub spread: Option<Vec<TopologySpreadConstraint>>,
    /// `workers.resources`.
    pub resources: Option<ResourceRequirements>,
}

/// Why a resource cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// In one word, for the condition.
    pub reason: &'static str,
    /// All of it, one mistake after the other.
    pub message: String,
}

/// Checks a resource. `stored`: the file that its workers have now.
pub fn validate(rollcall: &Rollcall, stored: Option<&str>) -> Result<Valid, Invalid> {
    let pipeline = rollcall.pipeline();
    if pipeline.len() > PIPELINE_BYTES_MAX {
        let message = format!(
            "the pipeline's id {pipeline:?} has {} characters, at most {PIPELINE_BYTES_MAX} are possible: use a shorter \
             namespace or name",
            pipeline.len()
        );
        return Err(Invalid { reason: "IdTooLong", message });
    }
    let rendered = Rendered::of(&rollcall.spec, &pipeline);
    let spec = read(&rendered.text(1))
        .map_err(|errors| Invalid { reason: "Mistakes", message: errors.to_string().replace('\n', "; ") })?;
    if let Some(stored) = stored.and_then(identity) {
        let differences = spec.identity().differences(&stored);
        if !differences.is_empty() {
            let named: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let message =
                format!("the identity cannot change, all would be counted again: {}", named.join("; "));
            return Err(Invalid { reason: "IdentityChanged", message });
        }
    }
    Ok(Valid { pipeline, rendered, spec, pods: pods(rollcall)? })
}

/// Reads a worker's file, with placeholders in place of secrets.
pub fn read(text: &str) -> Result<PipelineSpec, spec::Errors> {
    let sources = Sources { environment: &|_| None, file: &|_| Ok("placeholder".to_owned()) };
    spec::read(text, &Overrides::default(), &sources)
}

/// What a stored file says that cannot change; none where it is not ours.
fn identity(stored: &str) -> Option<Identity> {
    render::split(stored)?;
    read(stored).ok().map(|spec| spec.identity())
}

fn pods(rollcall: &Rollcall) -> Result<Pods, Invalid> {
    let workers = &rollcall.spec.workers;
    let tolerations = serde_json::to_value(&workers.tolerations).expect("plain data is JSON");
    let resources = workers.resources.as_ref().map(serde_json::to_value).transpose();
    let resources = resources.expect("plain data is JSON").map(with_text_quantities);
    let spread = workers.topology_spread_constraints.clone().map(Value::Array);
    Ok(Pods {
        affinity: workers.affinity.clone().map(|value| typed("affinity", value)).transpose()?,
        tolerations: typed("tolerations", tolerations)?,
        spread: spread.map(|value| typed("topologySpreadConstraints", value)).transpose()?,
        resources: resources.map(|value| typed("resources", value)).transpose()?,
    })
}

fn typed<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Invalid> {
    serde_json::from_value(value)
        .map_err(|error| Invalid { reason: "Mistakes", message: format!("workers.{name}: {error}") })
}

/// A quantity may be written as a number.
fn with_text_quantities(mut value: Value) -> Value {
    if let Some(kinds) = value.as_object_mut() {
        for quantities in kinds.values_mut().filter_map(Value::as_object_mut) {
            for quantity in quantities.values_mut() {
                if let Value::Number(number) = quantity {
                    *quantity = Value::String(number.to_string());
                }
            }
        }
    }
    value
}

/// As `insights::spec` has it.
const PIPELINE_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{full, minimal};

    fn invalid(rollcall: &Rollcall, stored: Option<&str>) -> (&'static str, String) {
        let invalid = validate(rollcall, stored).expect_err("it is refused");
        (invalid.reason, invalid.message)
    }

    #[test]
    fn the_smallest_and_the_fullest_can_be_run() {
        let valid = validate(&minimal(), None).unwrap();
        assert_eq!(valid.pipeline, "analytics.user-login");
        assert_eq!(valid.spec.kafka.group, "rollcall.analytics.user-login");
        let valid = validate(&full(), None).unwrap();
        assert!(valid.pods.affinity.is_some() && valid.pods.resources.is_some());
        assert_eq!(valid.pods.tolerations.len(), 1);
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let mut rollcall = minimal();
        rollcall.spec.insights.time_zone = "Mars".to_owned();
        rollcall.spec.kafka.properties.insert("retries".to_owned(), "1".to_owned());
        let (reason, message) = invalid(&rollcall, None);
        assert_eq!(reason, "Mistakes");
        assert!(
            message.contains("kafka.properties.retries: Rollcall sets this itself, remove it"),
            "{message}"
        );
        assert!(message.contains("insights.timeZone: ") && message.contains("; "), "{message}");
    }

    #[test]
    fn what_is_passed_through_must_be_kubernetes_own() {
        let mut rollcall = minimal();
        rollcall.spec.workers.affinity = Some(serde_json::json!({"nodeAffinity": 1}));
        let (reason, message) = invalid(&rollcall, None);
        assert!(reason == "Mistakes" && message.starts_with("workers.affinity: "), "{message}");
    }

    #[test]
    fn an_id_has_128_characters_at_most() {
        let mut rollcall = minimal();
        rollcall.metadata.namespace = Some("n".repeat(63));
        rollcall.metadata.name = Some("m".repeat(64));
        assert!(validate(&rollcall, None).is_ok());
        rollcall.metadata.name = Some("m".repeat(65));
        assert_eq!(invalid(&rollcall, None).0, "IdTooLong");
    }

    #[test]
    fn the_identity_stays_even_where_no_rule_sees_the_change() {
        let stored = validate(&minimal(), None).unwrap().rendered.text(1);
        let mut rollcall = minimal();
        rollcall.spec.kafka.group = Some("rollcall.other.user-login".to_owned());
        let (reason, message) = invalid(&rollcall, Some(&stored));
        assert_eq!(reason, "IdentityChanged");
        assert!(message.contains("kafka.group is \"rollcall.other.user-login\" here"), "{message}");
        rollcall.spec.kafka.group = Some("rollcall.analytics.user-login".to_owned());
        assert!(validate(&rollcall, Some(&stored)).is_ok(), "the default written out is no change");
        assert!(validate(&minimal(), Some("something else")).is_ok());
    }
}
