//! The objects that a resource becomes: pure, and the same bytes for the same resource.
//!
//! Owns names, labels and the pods' shape. It reads nothing and writes nothing; snapshots beside it hold what it makes.

mod pod;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{ConfigMap, LocalObjectReference, ResourceRequirements};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource as _, ResourceExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::render::FILE;
use crate::resource::Rollcall;
use crate::validate::Valid;

/// What the operator says of all workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Defaults {
    /// The workers' image.
    #[serde(skip)]
    pub image: String,
    /// When it is pulled.
    #[serde(skip)]
    pub image_pull_policy: Option<String>,
    /// Requests and limits.
    pub resources: Option<ResourceRequirements>,
    /// How long a worker may take to hand over.
    pub termination_grace_period_seconds: Option<i64>,
    /// Further labels of the pods.
    pub pod_labels: BTreeMap<String, String>,
    /// Further annotations of the pods.
    pub pod_annotations: BTreeMap<String, String>,
    /// Secrets to pull the image with.
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

/// What a resource becomes.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The workers' file.
    pub config_map: ConfigMap,
    /// The workers.
    pub deployment: Deployment,
    /// What an eviction may take.
    pub budget: PodDisruptionBudget,
}

/// What changes from one reconcile to the next without the resource.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The configuration's revision.
    pub revision: i64,
    /// How many workers there are.
    pub replicas: i32,
    /// Tells the secrets that pods mount from others: another value restarts the workers. Empty where there are none.
    pub secrets: &'a str,
}

/// Makes the objects.
pub fn build(
    rollcall: &Rollcall,
    valid: &Valid,
    defaults: &Defaults,
    circumstances: &Circumstances<'_>,
) -> Objects {
    let text = valid.rendered.text(circumstances.revision);
    let mut annotations = BTreeMap::from([(CONFIGURATION.to_owned(), checksum(&text))]);
    if !circumstances.secrets.is_empty() {
        annotations.insert(SECRETS.to_owned(), circumstances.secrets.to_owned());
    }
    let name = rollcall.name_any();
    let spec = DeploymentSpec {
        replicas: Some(circumstances.replicas),
        revision_history_limit: Some(3),
        selector: LabelSelector { match_labels: Some(selector(&name)), ..LabelSelector::default() },
        // One more for a moment: an update takes nothing from what is being worked off.
        strategy: Some(DeploymentStrategy {
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
            type_: Some("RollingUpdate".to_owned()),
        }),
        template: pod::template(rollcall, valid, defaults, annotations),
        ..DeploymentSpec::default()
    };
    let budget = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(rollcall.spec.workers.pod_disruption_budget.max_unavailable)),
        selector: Some(LabelSelector { match_labels: Some(selector(&name)), ..LabelSelector::default() }),
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    Objects {
        config_map: ConfigMap {
            metadata: metadata(rollcall, config_map_name(&name)),
            data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
            ..ConfigMap::default()
        },
        deployment: Deployment {
            metadata: metadata(rollcall, workers_name(&name)),
            spec: Some(spec),
            status: None,
        },
        budget: PodDisruptionBudget {
            metadata: metadata(rollcall, workers_name(&name)),
            spec: Some(budget),
            status: None,
        },
    }
}

/// The name of the Deployment and its budget.
pub fn workers_name(name: &str) -> String {
    format!("{name}-workers")
}

/// The name of the `ConfigMap`.
pub fn config_map_name(name: &str) -> String {
    format!("{name}-config")
}

/// The labels by which a resource's pods are found.
pub fn selector(name: &str) -> BTreeMap<String, String> {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    BTreeMap::from([
        label("app.kubernetes.io/name", "rollcall-worker"),
        label("app.kubernetes.io/instance", name),
    ])
}

/// What was said of a Deployment's secrets when it was made.
pub fn secrets_of(deployment: &Deployment) -> Option<String> {
    let template = &deployment.spec.as_ref()?.template;
    template.metadata.as_ref()?.annotations.as_ref()?.get(SECRETS).cloned()
}

fn labels(name: &str) -> BTreeMap<String, String> {
    let mut labels = selector(name);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), "rollcall-operator".to_owned());
    labels
}

fn metadata(rollcall: &Rollcall, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: rollcall.namespace(),
        labels: Some(labels(&rollcall.name_any())),
        owner_references: rollcall
            .controller_owner_ref(&())
            .map(|owner| vec![OwnerReference { block_owner_deletion: Some(true), ..owner }]),
        ..ObjectMeta::default()
    }
}

/// Tells texts apart.
pub(crate) fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut sum = String::with_capacity(32);
    for byte in digest.iter().take(16) {
        write!(sum, "{byte:02x}").expect("a string takes all");
    }
    sum
}

/// Annotations of the pods; each change starts new ones.
const CONFIGURATION: &str = "rollcall.dev/configuration";
const SECRETS: &str = "rollcall.dev/secrets";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{full, minimal};
    use crate::validate::validate;

    fn defaults() -> Defaults {
        Defaults {
            image: "registry.example/rollcall:0".to_owned(),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            pod_labels: BTreeMap::from([("from".to_owned(), "chart".to_owned())]),
            image_pull_secrets: vec![LocalObjectReference { name: "pull".to_owned() }],
            ..Defaults::default()
        }
    }

    fn built(rollcall: &Rollcall) -> Objects {
        let valid = validate(rollcall, None).unwrap();
        let circumstances = Circumstances { revision: 3, replicas: 2, secrets: "credentials=7" };
        build(rollcall, &valid, &defaults(), &circumstances)
    }

    /// Compares with the file beside this one; `UPDATE_SNAPSHOTS=1` writes it.
    fn assert_snapshot(name: &str, objects: &Objects) {
        let mut text = String::new();
        for object in [
            serde_json::to_value(&objects.config_map),
            serde_json::to_value(&objects.deployment),
            serde_json::to_value(&objects.budget),
        ] {
            text.push_str("---\n");
            text.push_str(&crate::yaml::print(&object.unwrap()));
        }
        let path = format!("src/build/snapshots/{name}.yaml");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
    }

    #[test]
    fn the_smallest_becomes_what_its_snapshot_holds() {
        assert_snapshot("minimal", &built(&minimal()));
    }

    #[test]
    fn the_fullest_becomes_what_its_snapshot_holds() {
        assert_snapshot("full", &built(&full()));
    }

    #[test]
    fn pods_pass_the_restricted_standard() {
        for rollcall in [minimal(), full()] {
            let pod = built(&rollcall).deployment.spec.unwrap().template.spec.unwrap();
            let security = pod.security_context.unwrap();
            assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65_532)));
            assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
            assert_eq!(pod.automount_service_account_token, Some(false));
            let container = pod.containers[0].security_context.clone().unwrap();
            assert_eq!(container.allow_privilege_escalation, Some(false));
            assert_eq!(container.read_only_root_filesystem, Some(true));
            assert_eq!(container.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]));
            assert!(pod.termination_grace_period_seconds > Some(25));
        }
    }

    #[test]
    fn a_change_of_configuration_or_secrets_starts_new_pods_and_replicas_do_not() {
        let rollcall = minimal();
        let valid = validate(&rollcall, None).unwrap();
        let template = |revision, replicas, secrets| {
            let circumstances = Circumstances { revision, replicas, secrets };
            build(&rollcall, &valid, &defaults(), &circumstances).deployment.spec.unwrap().template
        };
        let first = template(1, 1, "a=1");
        assert_eq!(first, template(1, 9, "a=1"));
        assert_ne!(first, template(2, 1, "a=1"));
        assert_ne!(first, template(1, 1, "a=2"));
    }
}
