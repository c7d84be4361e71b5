//! Resources for tests.

use serde_json::{Value, json};

use crate::resource::Rollcall;

/// The smallest useful one, as the contract shows it, after the API server has written the defaults.
pub(crate) fn minimal() -> Rollcall {
    of(&json!({
        "kafka": {"brokers": ["kafka:9092"]},
        "redis": {"url": "redis://redis:6379"},
        "scaling": {"maxReplicas": 12},
    }))
}

/// One with everything that has no default.
pub(crate) fn full() -> Rollcall {
    let secret = |key: &str| json!({"name": "credentials", "key": key});
    of(&json!({
        "kafka": {
            "brokers": ["kafka-0.kafka:9093", "[::1]:9093"],
            "group": "rollcall.analytics.user-login",
            "tls": {
                "caRef": {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"},
                "certificateSecretRef": secret("tls.crt"),
                "keySecretRef": secret("tls.key"),
            },
            "sasl": {"mechanism": "SCRAM-SHA-512", "username": "rollcall", "passwordSecretRef": secret("kafka")},
            "properties": {"client.rack": "a"},
        },
        "redis": {
            "url": "rediss://redis:6380/2",
            "credentialsSecretRef": {"name": "redis", "usernameKey": "user", "passwordKey": "password"},
        },
        "source": {"required": ["user_id", "app_version"], "defaults": {"device_type": "unknown"}},
        "filter": [{"field": "device_type", "operator": "In", "values": ["android", "ios"]}],
        "output": {"drop": ["a"], "mask": ["ip"], "hash": ["device_id"], "hashKeySecretRef": secret("hash")},
        "insights": {
            "dimensions": [{"field": "locale", "fold": "Upper"}],
            "unique": ["user_id"],
            "hashKeySecretRef": secret("ids"),
        },
        "replicas": 3,
        "scaling": {"mode": "Manual"},
        "workers": {
            "image": "registry.example/rollcall:1",
            "resources": {"requests": {"cpu": "1000m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "terminationGracePeriodSeconds": 90,
            "serviceAccountName": "logins",
            "nodeSelector": {"pool": "a"},
            "tolerations": [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "topologySpreadConstraints": [
                {"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
            ],
            "priorityClassName": "high",
            "podLabels": {"team": "logins"},
            "podAnnotations": {"example.com/a": "b"},
            "extraEnv": [
                {"name": "SSL_CERT_FILE", "value": "/x"},
                {"name": "OTEL_EXPORTER_OTLP_HEADERS", "secretKeyRef": secret("headers")},
            ],
            "podDisruptionBudget": {"maxUnavailable": 2},
        },
        "telemetry": {
            "otlpEndpoint": "http://jaeger:4318",
            "protocol": "HTTPProtobuf",
            "samplesPerMillion": 1500,
            "logFormat": "Text",
            "logFilter": "info,librdkafka=debug",
        },
    }))
}

fn of(spec: &Value) -> Rollcall {
    let rollcall = json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "Rollcall",
        "metadata": {
            "name": "user-login",
            "namespace": "analytics",
            "uid": "2c6f1f5e-0000-4000-8000-000000000001",
            "generation": 1,
        },
        "spec": spec,
    });
    serde_json::from_value(rollcall).expect("a resource")
}
