//! A worker's pod.
//!
//! Owns its one container and what it may do: nothing but read its files and talk to the network.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    KeyToPath, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretKeySelector, SecretProjection,
    SecurityContext, TopologySpreadConstraint, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;

use super::{Defaults, config_map_name, labels, selector};
use crate::render::{DIRECTORY, FILE, Mounted};
use crate::resource::{FileKind, LogFormat, Protocol, Rollcall};
use crate::validate::Valid;

/// The template that all workers are made from.
pub(super) fn template(
    rollcall: &Rollcall,
    valid: &Valid,
    defaults: &Defaults,
    mut annotations: BTreeMap<String, String>,
) -> PodTemplateSpec {
    let name = rollcall.name_any();
    let workers = &rollcall.spec.workers;
    let mut all_labels = defaults.pod_labels.clone();
    all_labels.extend(workers.pod_labels.clone());
    all_labels.extend(labels(&name));
    let own = std::mem::take(&mut annotations);
    annotations.extend(defaults.pod_annotations.clone());
    annotations.extend(workers.pod_annotations.clone());
    annotations.extend(own);
    let spec = PodSpec {
        affinity: valid.pods.affinity.clone(),
        automount_service_account_token: Some(false),
        containers: vec![container(rollcall, valid, defaults)],
        enable_service_links: Some(false),
        image_pull_secrets: (!defaults.image_pull_secrets.is_empty())
            .then(|| defaults.image_pull_secrets.clone()),
        node_selector: (!workers.node_selector.is_empty()).then(|| workers.node_selector.clone()),
        priority_class_name: workers.priority_class_name.clone(),
        security_context: Some(PodSecurityContext {
            fs_group: Some(NOBODY),
            run_as_group: Some(NOBODY),
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: workers.service_account_name.clone(),
        termination_grace_period_seconds: workers
            .termination_grace_period_seconds
            .or(defaults.termination_grace_period_seconds)
            .or(Some(GRACE_SECONDS)),
        tolerations: (!valid.pods.tolerations.is_empty()).then(|| valid.pods.tolerations.clone()),
        topology_spread_constraints: Some(spread(&name, valid)),
        volumes: Some(vec![volume(&name, &valid.rendered.files)]),
        ..PodSpec::default()
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: Some(annotations),
            labels: Some(all_labels),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

fn container(rollcall: &Rollcall, valid: &Valid, defaults: &Defaults) -> Container {
    let workers = &rollcall.spec.workers;
    Container {
        args: Some(vec!["worker".to_owned(), "--config".to_owned(), format!("{DIRECTORY}/{FILE}")]),
        env: Some(environment(rollcall)),
        image: Some(workers.image.clone().unwrap_or_else(|| defaults.image.clone())),
        image_pull_policy: defaults.image_pull_policy.clone(),
        liveness_probe: Some(Probe { failure_threshold: Some(3), ..probe("/healthz", 10) }),
        name: "worker".to_owned(),
        ports: Some(vec![ContainerPort {
            container_port: METRICS_PORT,
            name: Some("metrics".to_owned()),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(probe("/readyz", 5)),
        resources: valid
            .pods
            .resources
            .clone()
            .or_else(|| defaults.resources.clone())
            .or_else(|| Some(resources())),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            mount_path: DIRECTORY.to_owned(),
            name: VOLUME.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

/// What the resource says of telemetry; a variable of `extraEnv` wins over one of the same name.
fn environment(rollcall: &Rollcall) -> Vec<EnvVar> {
    let telemetry = &rollcall.spec.telemetry;
    let set =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let pod_name = ObjectFieldSelector { field_path: "metadata.name".to_owned(), ..Default::default() };
    let format = match telemetry.log_format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    let mut variables = vec![
        EnvVar {
            name: "POD_NAME".to_owned(),
            value_from: Some(EnvVarSource { field_ref: Some(pod_name), ..EnvVarSource::default() }),
            value: None,
        },
        set("ROLLCALL_METRICS_ADDRESS", format!("0.0.0.0:{METRICS_PORT}")),
        set("ROLLCALL_LOG", telemetry.log_filter.clone()),
        set("ROLLCALL_LOG_FORMAT", format.to_owned()),
    ];
    if let Some(endpoint) = &telemetry.otlp_endpoint {
        let protocol = match telemetry.protocol {
            Protocol::Grpc => "grpc",
            Protocol::HttpProtobuf => "http/protobuf",
        };
        let share = f64::from(telemetry.samples_per_million) / 1_000_000.0;
        let namespace = rollcall.namespace().unwrap_or_default();
        variables.extend([
            set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.clone()),
            set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            set("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            set("OTEL_TRACES_SAMPLER_ARG", share.to_string()),
            set(
                "OTEL_RESOURCE_ATTRIBUTES",
                format!("k8s.namespace.name={namespace},k8s.pod.name=$(POD_NAME)"),
            ),
        ]);
    }
    let extra = &rollcall.spec.workers.extra_env;
    variables.retain(|variable| extra.iter().all(|extra| extra.name != variable.name));
    for variable in extra {
        let selector = variable.secret_key_ref.as_ref().map(|reference| EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                key: reference.key.clone(),
                name: reference.name.clone(),
                optional: None,
            }),
            ..EnvVarSource::default()
        });
        variables.push(EnvVar {
            name: variable.name.clone(),
            value: variable.value.clone(),
            value_from: selector,
        });
    }
    variables
}

/// One volume for all: a mount within a `ConfigMap`'s would need a directory that nobody can make.
fn volume(name: &str, files: &[Mounted]) -> Volume {
    let item = |key: &str, path: &str| KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None };
    let config_map = |name: String, item| VolumeProjection {
        config_map: Some(ConfigMapProjection { items: Some(vec![item]), name, optional: None }),
        ..VolumeProjection::default()
    };
    let mut sources = vec![config_map(config_map_name(name), item(FILE, FILE))];
    for file in files {
        let item = item(&file.key, &file.path);
        sources.push(match file.kind {
            FileKind::ConfigMap => config_map(file.name.clone(), item),
            FileKind::Secret => VolumeProjection {
                secret: Some(SecretProjection {
                    items: Some(vec![item]),
                    name: file.name.clone(),
                    optional: None,
                }),
                ..VolumeProjection::default()
            },
        });
    }
    Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(0o440), sources: Some(sources) }),
        ..Volume::default()
    }
}

/// What the resource says, counting the workers' own pods; otherwise over nodes, where that is possible.
fn spread(name: &str, valid: &Valid) -> Vec<TopologySpreadConstraint> {
    let own = LabelSelector { match_labels: Some(selector(name)), ..LabelSelector::default() };
    let Some(mut constraints) = valid.pods.spread.clone() else {
        return vec![TopologySpreadConstraint {
            label_selector: Some(own),
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        }];
    };
    for constraint in &mut constraints {
        constraint.label_selector.get_or_insert_with(|| own.clone());
    }
    constraints
}

fn probe(path: &str, period_seconds: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Measured behind a full backlog: 70 to 140 MB (README). No limit of CPU: it would only add lag.
fn resources() -> ResourceRequirements {
    let quantity = |name: &str, text: &str| (name.to_owned(), Quantity(text.to_owned()));
    ResourceRequirements {
        requests: Some(BTreeMap::from([quantity("cpu", "100m"), quantity("memory", "128Mi")])),
        limits: Some(BTreeMap::from([quantity("memory", "512Mi")])),
        ..ResourceRequirements::default()
    }
}

/// Who runs the image.
const NOBODY: i64 = 65_532;

/// A worker hands over within 25 s.
const GRACE_SECONDS: i64 = 60;

const METRICS_PORT: i32 = 9090;
const VOLUME: &str = "configuration";
