//! Reconciles against an API server in memory: what is written, how often, and what comes of failures in between.

use insights::http::Pipelines;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::Value;

use super::*;
use crate::build::Defaults;
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::scaling::Mode;
use crate::testing::minimal;

/// Objects by path, and what was written. Server-side apply is reduced to "our fields win".
#[derive(Default)]
struct Server {
    objects: Mutex<BTreeMap<String, Value>>,
    writes: Mutex<Vec<String>>,
    /// The write that fails, counted from 1, and whether it takes effect all the same.
    fails: Mutex<Option<(usize, bool)>>,
    /// What a Deployment is refused for.
    refusal: Mutex<Option<&'static str>>,
    versions: AtomicUsize,
}

impl Server {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let body = body.collect_bytes().await.unwrap();
        if path.contains("/secrets/") {
            return failure(StatusCode::FORBIDDEN, "no");
        }
        match parts.method {
            Method::GET => match self.objects.lock().unwrap().get(&path) {
                Some(object) => success(object),
                None => failure(StatusCode::NOT_FOUND, "not found"),
            },
            Method::PATCH if parts.uri.query().unwrap_or_default().contains("dryRun=All") => {
                match *self.refusal.lock().unwrap() {
                    Some(message) => failure(StatusCode::UNPROCESSABLE_ENTITY, message),
                    None => success(&serde_json::from_slice(&body).unwrap()),
                }
            }
            Method::PATCH => self.write(&path, &serde_json::from_slice(&body).unwrap()),
            // An event.
            _ => success(&serde_json::from_slice(&body).unwrap()),
        }
    }

    fn write(&self, path: &str, change: &Value) -> Response<Body> {
        let mut writes = self.writes.lock().unwrap();
        writes.push(path.rsplit('/').take(2).collect::<Vec<_>>().join(" "));
        let fails = self.fails.lock().unwrap().filter(|(at, _)| *at == writes.len());
        if let Some((_, false)) = fails {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "not done");
        }
        let mut objects = self.objects.lock().unwrap();
        let object = objects.entry(path.trim_end_matches("/status").to_owned()).or_insert_with(|| json!({}));
        merge(object, change);
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        object["metadata"]["resourceVersion"] = version.to_string().into();
        if fails.is_some() {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "done, but nobody knows");
        }
        success(object)
    }

    fn written(&self) -> Vec<String> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }

    fn object(&self, path: &str) -> Value {
        self.objects.lock().unwrap().get(path).cloned().unwrap_or_default()
    }

    /// Everything but the times of what happened, and versions.
    fn end_state(&self) -> BTreeMap<String, Value> {
        let mut objects = self.objects.lock().unwrap().clone();
        for object in objects.values_mut() {
            object["metadata"]["resourceVersion"] = Value::Null;
            for condition in
                object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten()
            {
                condition["lastTransitionTime"] = Value::Null;
            }
            if let Some(scaling) = object.pointer_mut("/status/scaling") {
                scaling["state"] = Value::Null;
            }
        }
        objects
    }
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn success(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string().into_bytes()))
}

fn failure(code: StatusCode, message: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": if code == StatusCode::NOT_FOUND { "NotFound" } else { "Test" }, "code": code.as_u16()});
    Response::builder().status(code).body(Body::from(status.to_string().into_bytes())).unwrap()
}

/// An operator, its API server and one resource. Its secret may not be read, so that no service is asked.
struct Lab {
    server: Arc<Server>,
    context: Arc<Context>,
}

impl Lab {
    fn new() -> Self {
        Self::with(Arc::default())
    }

    fn with(server: Arc<Server>) -> Self {
        let answering = Arc::clone(&server);
        let service = tower::service_fn(move |request| {
            let server = Arc::clone(&answering);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let client = Client::new(service, "analytics");
        let reporter = Reporter { controller: "test".to_owned(), instance: None };
        let context = Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            observer: Observer::new(tokio::sync::mpsc::unbounded_channel().0, Pipelines::default()),
            defaults: Defaults { image: "rollcall:0".to_owned(), ..Defaults::default() },
            metrics: Arc::<Metrics>::default(),
            resync: Duration::from_mins(5),
            leads: true.into(),
            memories: Mutex::default(),
        };
        Self { server, context: Arc::new(context) }
    }

    fn put(&self, change: impl FnOnce(&mut Rollcall)) {
        let mut rollcall = self.rollcall().unwrap_or_else(|| {
            let mut rollcall = minimal();
            rollcall.spec.redis.credentials_secret_ref = Some(crate::resource::RedisCredentials {
                name: "redis".to_owned(),
                username_key: None,
                password_key: "password".to_owned(),
            });
            rollcall.metadata.generation = Some(0);
            rollcall
        });
        change(&mut rollcall);
        rollcall.metadata.generation = rollcall.metadata.generation.map(|generation| generation + 1);
        let value = serde_json::to_value(rollcall).unwrap();
        self.server.objects.lock().unwrap().insert(ROLLCALL.to_owned(), value);
    }

    fn rollcall(&self) -> Option<Rollcall> {
        serde_json::from_value(self.server.object(ROLLCALL)).ok()
    }

    async fn reconcile(&self) -> Result<Action, Error> {
        reconcile(Arc::new(self.rollcall().unwrap()), Arc::clone(&self.context)).await
    }

    /// Pods follow at once.
    fn run_pods(&self) {
        let mut objects = self.server.objects.lock().unwrap();
        if let Some(deployment) = objects.get_mut(DEPLOYMENT) {
            let replicas = deployment["spec"]["replicas"].clone();
            deployment["status"] =
                json!({"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas});
        }
    }

    async fn settle(&self) {
        for _ in 0..3 {
            self.reconcile().await.unwrap();
            self.run_pods();
        }
        self.server.written();
    }

    fn condition(&self, type_: &str) -> (String, String, String) {
        let status = self.rollcall().unwrap().status.unwrap();
        let condition = status.conditions.into_iter().find(|condition| condition.type_ == type_).unwrap();
        (condition.status, condition.reason, condition.message)
    }
}

#[tokio::test]
async fn from_nothing_all_objects_come_once_and_then_nothing_is_written() {
    let lab = Lab::new();
    lab.put(|_| ());
    lab.reconcile().await.unwrap();
    assert_eq!(
        lab.server.written(),
        [
            "user-login-config configmaps",
            "user-login-workers deployments",
            "user-login-workers poddisruptionbudgets",
            "status user-login"
        ]
    );
    lab.run_pods();
    lab.reconcile().await.unwrap();
    assert_eq!(lab.server.written(), ["status user-login"], "the workers are ready");
    for _ in 0..3 {
        lab.reconcile().await.unwrap();
    }
    assert_eq!(lab.server.written(), [""; 0], "a fixed point");
    assert_eq!(lab.condition("Ready").0, "True");
    let (is, reason, message) = lab.condition("KafkaReachable");
    assert_eq!((is.as_str(), reason.as_str()), ("Unknown", "CannotAsk"));
    assert!(message.contains("Secret redis") && message.contains("rbac.secrets"), "{message}");
}

#[tokio::test]
async fn a_failure_at_any_write_changes_nothing_of_the_end() {
    let expected = {
        let lab = Lab::new();
        lab.put(|_| ());
        lab.settle().await;
        lab.server.end_state()
    };
    for at in 1..=5 {
        for takes_effect in [false, true] {
            let lab = Lab::new();
            lab.put(|_| ());
            *lab.server.fails.lock().unwrap() = Some((at, takes_effect));
            for _ in 0..3 {
                // The process ends at the failure: the next one knows nothing.
                let result = lab.reconcile().await;
                lab.run_pods();
                if result.is_err() {
                    break;
                }
            }
            let next = Lab::with(Arc::clone(&lab.server));
            next.settle().await;
            assert_eq!(next.server.end_state(), expected, "write {at}, in effect: {takes_effect}");
        }
    }
}

#[tokio::test]
async fn what_others_change_of_ours_is_put_right_and_what_they_add_stays() {
    let lab = Lab::new();
    lab.put(|_| ());
    lab.settle().await;
    let change = |pointer: &str, value: Value| {
        let mut objects = lab.server.objects.lock().unwrap();
        *objects.get_mut(DEPLOYMENT).unwrap().pointer_mut(pointer).unwrap() = value;
    };
    change("/spec/template/spec/enableServiceLinks", json!(true));
    lab.reconcile().await.unwrap();
    assert_eq!(lab.server.written(), ["user-login-workers deployments"]);
    change("/metadata", {
        let mut metadata = lab.server.object(DEPLOYMENT)["metadata"].clone();
        metadata["annotations"]["deployment.kubernetes.io/revision"] = json!("1");
        metadata
    });
    lab.reconcile().await.unwrap();
    assert_eq!(lab.server.written(), [""; 0]);
}

#[tokio::test]
async fn a_bad_specification_leaves_what_runs_and_is_told() {
    let lab = Lab::new();
    lab.put(|_| ());
    lab.settle().await;
    let before = (lab.server.object(DEPLOYMENT), lab.server.object(CONFIG_MAP));
    lab.put(|rollcall| rollcall.spec.insights.time_zone = "Mars".to_owned());
    lab.settle().await;
    assert_eq!((lab.server.object(DEPLOYMENT), lab.server.object(CONFIG_MAP)), before);
    let (is, reason, message) = lab.condition("ConfigurationValid");
    assert_eq!((is.as_str(), reason.as_str()), ("False", "Mistakes"));
    assert!(message.contains("insights.timeZone") && message.contains("last good"), "{message}");
    // Paused is obeyed all the same.
    lab.put(|rollcall| rollcall.spec.desired_state = crate::resource::DesiredState::Paused);
    lab.settle().await;
    assert_eq!(lab.server.object(DEPLOYMENT)["spec"]["replicas"], 0);
    lab.put(|rollcall| {
        rollcall.spec.insights.time_zone = "UTC".to_owned();
        rollcall.spec.desired_state = crate::resource::DesiredState::Running;
    });
    lab.settle().await;
    assert_eq!(lab.condition("ConfigurationValid").0, "True");
    assert_eq!(lab.server.object(DEPLOYMENT)["spec"]["replicas"], before.0["spec"]["replicas"]);
}

#[tokio::test]
async fn what_the_api_server_refuses_reaches_no_worker() {
    let lab = Lab::new();
    lab.put(|_| ());
    lab.settle().await;
    let before = lab.server.object(CONFIG_MAP);
    *lab.server.refusal.lock().unwrap() = Some("spec.template.spec.affinity: nonsense");
    lab.put(|rollcall| rollcall.spec.insights.max_values = 7);
    lab.settle().await;
    assert_eq!(lab.server.object(CONFIG_MAP), before, "the trial came first");
    let (is, reason, message) = lab.condition("ConfigurationValid");
    assert_eq!((is.as_str(), reason.as_str()), ("False", "Refused"));
    assert!(message.contains("nonsense"), "{message}");
}

#[tokio::test]
async fn foreign_objects_of_our_names_are_not_adopted() {
    let lab = Lab::new();
    let foreign = json!({"metadata": {"name": "user-login-config"}, "data": {"mine": "x"}});
    lab.server.objects.lock().unwrap().insert(CONFIG_MAP.to_owned(), foreign.clone());
    lab.put(|_| ());
    lab.settle().await;
    assert_eq!(lab.server.object(CONFIG_MAP), foreign);
    assert_eq!(lab.server.object(DEPLOYMENT), Value::Null);
    let (is, reason, message) = lab.condition("Stalled");
    assert_eq!((is.as_str(), reason.as_str()), ("True", "NameConflict"));
    assert!(message.starts_with("ConfigMap user-login-config "), "{message}");
}

#[tokio::test]
async fn an_autoscalers_replicas_change_the_number_and_restart_nobody() {
    let lab = Lab::new();
    lab.put(|rollcall| {
        rollcall.spec.scaling.mode = Mode::External;
        rollcall.spec.replicas = Some(2);
    });
    lab.settle().await;
    let before = lab.server.object(DEPLOYMENT);
    lab.put(|rollcall| rollcall.spec.replicas = Some(5));
    lab.settle().await;
    let after = lab.server.object(DEPLOYMENT);
    assert_eq!((&before["spec"]["replicas"], &after["spec"]["replicas"]), (&json!(2), &json!(5)));
    assert_eq!(before["spec"]["template"], after["spec"]["template"]);
    lab.put(|rollcall| rollcall.spec.insights.max_values = 7);
    lab.settle().await;
    assert_ne!(lab.server.object(DEPLOYMENT)["spec"]["template"], after["spec"]["template"]);
    assert!(
        lab.server.object(CONFIG_MAP)["data"]["rollcall.yaml"].as_str().unwrap().starts_with("revision: 3\n")
    );
}

#[tokio::test]
async fn who_stands_by_writes_nothing() {
    let lab = Lab::new();
    lab.put(|_| ());
    lab.context.leads.store(false, Ordering::Relaxed);
    lab.reconcile().await.unwrap();
    assert_eq!(lab.server.written(), [""; 0]);
    lab.context.leads.store(true, Ordering::Relaxed);
    lab.reconcile().await.unwrap();
    assert_eq!(lab.server.written().len(), 4);
}

#[tokio::test]
async fn a_resource_that_goes_is_left_alone() {
    let lab = Lab::new();
    lab.put(|rollcall| {
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now());
        rollcall.metadata.deletion_timestamp = Some(time);
    });
    lab.reconcile().await.unwrap();
    assert_eq!(lab.server.written(), [""; 0]);
}

const ROLLCALL: &str = "/apis/rollcall.dev/v1alpha1/namespaces/analytics/rollcalls/user-login";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/analytics/deployments/user-login-workers";
const CONFIG_MAP: &str = "/api/v1/namespaces/analytics/configmaps/user-login-config";
