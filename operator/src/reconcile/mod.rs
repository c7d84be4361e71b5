//! One reconcile: dereference ▸ validate ▸ build ▸ apply, then status.
//!
//! Owns the order, and what happens when one of them fails. Everything is derived anew from what is there; between two
//! reconciles only what scaling remembers and the time of the last status are kept, and both may be lost.

mod apply;
mod context;
mod dereference;
mod events;
mod scale;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;
use tracing::Instrument as _;

use self::apply::Change;
pub use self::context::{Context, Memory};
use self::dereference::Found;
use crate::build::{self, Circumstances, build, checksum};
use crate::observe::{Observed, Pem, Target};
use crate::render::{DIRECTORY, Rendered};
use crate::resource::{Rollcall, RollcallStatus};
use crate::status::{self, Known, Obstacle};
use crate::validate::{Valid, validate};

/// Why a reconcile failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object could not be read.
    #[error("failed to read a {kind}")]
    Read {
        /// What was read.
        kind: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// An object could not be written.
    #[error("failed to write a {kind}")]
    Write {
        /// What was written.
        kind: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// The variant's name, for a metric's label.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
        }
    }
}

/// Brings about what a resource says.
pub async fn reconcile(rollcall: Arc<Rollcall>, context: Arc<Context>) -> Result<Action, Error> {
    let span = tracing::info_span!(
        "reconcile",
        namespace = rollcall.namespace().unwrap_or_default(),
        name = rollcall.name_any(),
        generation = rollcall.metadata.generation,
    );
    let started = Instant::now();
    let result = Box::pin(one(&rollcall, &context)).instrument(span).await;
    context.metrics.reconciled(started.elapsed(), result.as_ref().err());
    let key = ObjectRef::from_obj(&*rollcall);
    context.remember(&key, |memory| memory.failures = if result.is_ok() { 0 } else { memory.failures + 1 });
    result
}

/// What follows a failure: the same again, later each time.
#[expect(clippy::needless_pass_by_value, reason = "the controller hands it over")]
pub fn after_failure(rollcall: Arc<Rollcall>, error: &Error, context: Arc<Context>) -> Action {
    let key = ObjectRef::from_obj(&*rollcall);
    let failures = context.remember(&key, |memory| memory.failures);
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(resource = %key, %error, source, failures, "failed to reconcile, trying again");
    Action::requeue((RETRY * 2_u32.pow(failures.min(6))).min(context.resync))
}

async fn one(rollcall: &Rollcall, context: &Context) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(rollcall);
    if rollcall.metadata.deletion_timestamp.is_some() {
        context.forget(&key);
        return Ok(Action::await_change());
    }
    let (namespace, name) = (rollcall.namespace().unwrap_or_default(), rollcall.name_any());
    let rendered = Rendered::of(&rollcall.spec, &rollcall.pipeline());
    let mut found = dereference::dereference(&context.client, &namespace, &name, &rendered.files)
        .instrument(tracing::info_span!("dereference"))
        .await?;
    let checked = tracing::info_span!("validate").in_scope(|| check(rollcall, &found));
    let unasked = unasked(&found);
    if let (Ok(valid), None) = (&checked, &unasked) {
        observe(context, &key, rollcall, valid, &found);
    }
    if !context.leads.load(Ordering::Relaxed) {
        context.show_told_steps(rollcall);
        return Ok(Action::requeue(context.resync));
    }
    let observed = context.observer.seen(&key);
    let mut obstacle = checked.as_ref().err().cloned();
    let is_ours = !matches!(&obstacle, Some(obstacle) if obstacle.reason == NAME_CONFLICT);
    let former = found.deployment.take().filter(|_| is_ours);
    let decided = (checked.is_ok() || former.is_some())
        .then(|| context.decide(&key, rollcall, former.as_ref(), &observed));
    let replicas = decided.as_ref().map_or(0, |(_, decision)| scale::to_i32(decision.replicas));
    let deployment = match &checked {
        Ok(valid) => {
            let revision = revision(rollcall, valid, &found, &observed);
            let secrets = secrets(&found, former.as_ref());
            let circumstances = Circumstances { revision, replicas, secrets: &secrets };
            let objects = tracing::info_span!("build")
                .in_scope(|| build(rollcall, valid, &context.defaults, &circumstances));
            let applied = Box::pin(put(context, &namespace, &objects, found, former.clone()))
                .instrument(tracing::info_span!("apply"))
                .await;
            match applied {
                Ok(deployment) => Some(deployment),
                Err(error) => {
                    obstacle = Some(refused(error)?);
                    former.clone()
                }
            }
        }
        Err(_) => keep(context, &namespace, former.clone(), replicas).await?,
    };
    let replicas_of = |workers: Option<&Deployment>| workers?.spec.as_ref()?.replicas;
    if let Some((_, decision)) = &decided
        && replicas_of(deployment.as_ref()) == Some(replicas)
    {
        context.told(rollcall, replicas_of(former.as_ref()), decision).await;
    }
    let group = checked.as_ref().ok().map(|valid| valid.spec.kafka.group.as_str());
    let state = decided.as_ref().map(|(state, _)| state.clone()).unwrap_or_default();
    let now = status::status(&Known {
        rollcall,
        group,
        obstacle: obstacle.as_ref(),
        unasked: unasked.as_deref(),
        deployment: deployment.as_ref(),
        observed: &observed,
        decision: decided.as_ref().map(|(_, decision)| decision),
        state: &state,
        now: Timestamp::now(),
    });
    write_status(context, &key, rollcall, now).instrument(tracing::info_span!("status")).await?;
    Ok(Action::requeue(if obstacle.is_some() { context.resync.min(OBSTACLE_RETRY) } else { context.resync }))
}

/// The second step, with what only the objects that are there can tell.
fn check(rollcall: &Rollcall, found: &Found) -> Result<Valid, Obstacle> {
    if let Some(foreign) = found.foreign(rollcall.metadata.uid.as_deref().unwrap_or_default()) {
        let message =
            format!("{foreign} is there already and not this resource's: delete it, or use another name");
        return Err(Obstacle { reason: NAME_CONFLICT.to_owned(), message, of_configuration: false });
    }
    let valid = validate(rollcall, found.stored()).map_err(|invalid| Obstacle {
        reason: invalid.reason.to_owned(),
        message: invalid.message,
        of_configuration: true,
    })?;
    if found.files.missing.is_empty() {
        return Ok(valid);
    }
    let message = format!("not found: {}", found.files.missing.join(", "));
    Err(Obstacle { reason: "SecretMissing".to_owned(), message, of_configuration: true })
}

/// Why the operator cannot ask the services; the workers mount what they need themselves.
fn unasked(found: &Found) -> Option<String> {
    let forbidden = &found.files.forbidden;
    (!forbidden.is_empty()).then(|| {
        format!(
            "the operator may not read {}: name it in the chart's rbac.secrets (workers run, but their lag is unknown)",
            forbidden.join(", ")
        )
    })
}

/// Looks at the pipeline with the secrets themselves.
fn observe(context: &Context, key: &ObjectRef<Rollcall>, rollcall: &Rollcall, valid: &Valid, found: &Found) {
    let contents = &found.files.contents;
    let text = valid.rendered.text(1);
    let fingerprint = checksum(&format!("{text}{contents:?}{:?}", rollcall.spec.scaling.interval));
    if context.observer.is_watched(key, &fingerprint) {
        return;
    }
    let file = |path: &std::path::Path| {
        let found = path.to_str().and_then(|path| contents.get(path)).cloned();
        found.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
    };
    let sources = insights::spec::Sources { environment: &|_| None, file: &file };
    let spec = match insights::spec::read(&text, &insights::spec::Overrides::default(), &sources) {
        Ok(spec) => spec,
        Err(errors) => {
            tracing::warn!(resource = %key, %errors, "the secrets' contents cannot be used");
            return;
        }
    };
    let pem = |name: &str| contents.get(&format!("{DIRECTORY}/secrets/{name}")).cloned();
    let pem = Pem { ca: pem("kafka-ca"), certificate: pem("kafka-certificate"), key: pem("kafka-key") };
    let interval = rollcall.spec.scaling.interval.0;
    let pipeline = valid.pipeline.clone();
    context.observer.watch(key, Target { pipeline, spec, pem, interval, fingerprint });
}

/// The configuration's revision.
fn revision(rollcall: &Rollcall, valid: &Valid, found: &Found, observed: &Observed) -> i64 {
    let published = observed.document.as_ref().map(|document| document.revision);
    valid.rendered.revision(found.stored(), rollcall.metadata.generation.unwrap_or(1), published)
}

/// What tells the present secrets from others; empty where there are none.
fn secrets(found: &Found, former: Option<&Deployment>) -> String {
    let files = &found.files;
    if !files.forbidden.is_empty() {
        // What is unknown is no news.
        return former.and_then(build::secrets_of).unwrap_or_default();
    }
    if files.versions.is_empty() {
        return String::new();
    }
    checksum(&files.versions.iter().cloned().collect::<Vec<_>>().join(","))
}

/// Applies all objects: the configuration before the pods that read it, after a trial of the pods that it would change.
async fn put(
    context: &Context,
    namespace: &str,
    objects: &build::Objects,
    found: Found,
    former: Option<Deployment>,
) -> Result<Deployment, Error> {
    let client = &context.client;
    let deployment = Change::new(&objects.deployment, former);
    deployment.try_out(client, namespace).await?;
    let config_map = Change::new(&objects.config_map, found.config_map);
    let (_, config_map_written) = config_map.apply(client, namespace).await?;
    let (deployment, deployment_written) = deployment.apply(client, namespace).await?;
    let (_, budget_written) = Change::new(&objects.budget, found.budget).apply(client, namespace).await?;
    for (kind, written) in [
        ("ConfigMap", config_map_written),
        ("Deployment", deployment_written),
        ("PodDisruptionBudget", budget_written),
    ] {
        if written {
            tracing::info!(kind, "applied");
            context.metrics.wrote(kind);
        }
    }
    Ok(deployment)
}

/// What the API server refuses for good is told; all else is tried again.
fn refused(error: Error) -> Result<Obstacle, Error> {
    match &error {
        Error::Write { kind, source: kube::Error::Api(status) } if matches!(status.code, 400 | 403 | 422) => {
            let (reason, of_configuration) =
                if status.code == 403 { ("Forbidden", false) } else { ("Refused", true) };
            Ok(Obstacle {
                reason: reason.to_owned(),
                message: format!("{kind}: {}", status.message),
                of_configuration,
            })
        }
        _ => Err(error),
    }
}

/// What runs stays as it is, but for its number.
async fn keep(
    context: &Context,
    namespace: &str,
    former: Option<Deployment>,
    replicas: i32,
) -> Result<Option<Deployment>, Error> {
    let Some(former) = former else {
        return Ok(None);
    };
    let present = former.spec.as_ref().and_then(|spec| spec.replicas);
    if present == Some(replicas) {
        return Ok(Some(former));
    }
    context.metrics.wrote("Deployment");
    apply::scale(&context.client, namespace, &former.name_any(), replicas).await.map(Some)
}

async fn write_status(
    context: &Context,
    key: &ObjectRef<Rollcall>,
    rollcall: &Rollcall,
    now: RollcallStatus,
) -> Result<(), Error> {
    let former = rollcall.status.as_ref();
    let is_due = context.remember(key, |memory| {
        memory.status_written.is_none_or(|written| written.elapsed() >= STATUS_EVERY)
    });
    if !status::is_worth_writing(former, &now, is_due) {
        return Ok(());
    }
    let api: Api<Rollcall> =
        Api::namespaced(context.client.clone(), &rollcall.namespace().unwrap_or_default());
    let name = rollcall.name_any();
    let patch = json!({
        "apiVersion": Rollcall::api_version(&()),
        "kind": Rollcall::kind(&()),
        "metadata": {"name": name},
        "status": now,
    });
    let written =
        api.patch_status(&name, &PatchParams::apply(STATUS_MANAGER).force(), &Patch::Apply(&patch)).await;
    match written {
        Ok(_) => {}
        // It is being deleted.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(source) => return Err(Error::Write { kind: "status".to_owned(), source }),
    }
    context.metrics.wrote("Rollcall/status");
    context.remember(key, |memory| memory.status_written = Some(Instant::now()));
    let before = former.map(|status| status.conditions.as_slice()).unwrap_or_default();
    events::of_conditions(context, rollcall, &status::transitions(before, &now.conditions)).await;
    Ok(())
}

/// The field manager of statuses.
const STATUS_MANAGER: &str = "rollcall-status";

const NAME_CONFLICT: &str = "NameConflict";

/// How often numbers that only move are written.
const STATUS_EVERY: Duration = Duration::from_secs(20);

const RETRY: Duration = Duration::from_secs(2);

/// Nobody is told when a Secret appears or a foreign object goes.
const OBSTACLE_RETRY: Duration = Duration::from_secs(15);
