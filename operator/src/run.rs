//! `rollcall-operator run`: the process.
//!
//! Owns what runs beside what: the metrics port and the look at the pipelines always; writes only while this process leads. It
//! ends when the lease is lost, rather than write on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _, stream};
use insights::http::Pipelines;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::client::ClientBuilder;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, reflector};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::build::Defaults;
use crate::http;
use crate::lease::{Candidate, Times};
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::reconcile::{Context, after_failure, reconcile};
use crate::resource::Rollcall;

/// What `run` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Namespaces that are watched, separated by commas; `*`: all. Default: the operator's own.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACES", value_name = "A,B", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// The workers' image, unless a resource names another.
    #[arg(long, env = "ROLLCALL_WORKER_IMAGE", value_name = "IMAGE")]
    worker_image: String,
    /// When the workers' image is pulled: Always, `IfNotPresent` or Never.
    #[arg(long, env = "ROLLCALL_WORKER_IMAGE_PULL_POLICY", value_name = "POLICY")]
    worker_image_pull_policy: Option<String>,
    /// A YAML file with resources, terminationGracePeriodSeconds, podLabels, podAnnotations and imagePullSecrets of workers.
    #[arg(long, env = "ROLLCALL_WORKER_DEFAULTS", value_name = "FILE")]
    worker_defaults: Option<PathBuf>,
    /// Where metrics and health are served.
    #[arg(long, env = "ROLLCALL_METRICS_ADDRESS", value_name = "HOST:PORT", default_value = "0.0.0.0:9090")]
    metrics_address: SocketAddr,
    /// Where the insights are served.
    #[arg(long, env = "ROLLCALL_API_ADDRESS", value_name = "HOST:PORT", default_value = "0.0.0.0:8080")]
    api_address: SocketAddr,
    /// Who may ask for insights: everybody, or who has a token of the cluster and may `get` `rollcalls/insights`.
    #[arg(long, env = "ROLLCALL_API_AUTH", value_name = "WAY", default_value = "None")]
    api_auth: api::Auth,
    /// The Lease that decides who leads.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", value_name = "NAME", default_value = "rollcall-operator")]
    lease_name: String,
    /// A lease that was not renewed for so long may be taken.
    #[arg(long, env = "ROLLCALL_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = duration)]
    lease_duration: Duration,
    /// A leader that could not renew for so long ends.
    #[arg(long, env = "ROLLCALL_RENEW_DEADLINE", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    renew_deadline: Duration,
    /// How often the lease is renewed or tried.
    #[arg(long, env = "ROLLCALL_RETRY_PERIOD", value_name = "DURATION", default_value = "2s", value_parser = duration)]
    retry_period: Duration,
    /// How often each resource is looked at although nothing happened.
    #[arg(long, env = "ROLLCALL_RESYNC", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    resync: Duration,
    /// This process's name. Default: a random one.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pod_namespace: Option<String>,
}

/// What was told, once it makes sense.
pub struct Settings {
    arguments: Arguments,
    times: Times,
    defaults: Defaults,
}

impl Settings {
    /// Checks what was told, and reads the file that it names.
    pub fn read(arguments: Arguments) -> Result<Self, anyhow::Error> {
        Ok(Self { times: times(&arguments)?, defaults: defaults(&arguments)?, arguments })
    }
}

/// Runs until a signal comes or the lease is lost.
pub async fn run(settings: Settings) -> Result<(), anyhow::Error> {
    let Settings { arguments, times, defaults } = settings;
    let client = client().await.context("failed to find the API server")?;
    let own = arguments.pod_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let id =
        arguments.pod_name.clone().unwrap_or_else(|| format!("rollcall-operator-{}", std::process::id()));
    let metrics = Arc::<Metrics>::default();
    let mut served = tokio::spawn(http::serve(arguments.metrics_address, Arc::clone(&metrics)));
    let leases: Api<Lease> = Api::namespaced(client.clone(), &own);
    let mut candidate = Candidate::new(leases, arguments.lease_name.clone(), id.clone(), times);
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for Ctrl-C")?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (changed, looked) = mpsc::unbounded_channel();
    let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(id.clone()) };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        observer: Observer::new(changed, Pipelines::default()),
        defaults,
        metrics: Arc::clone(&metrics),
        resync: arguments.resync,
        leads: AtomicBool::new(false),
        memories: Mutex::new(HashMap::new()),
    });
    let namespaces = namespaces(&arguments, &own);
    tracing::info!(id, ?namespaces, "watching");
    let shutdown = CancellationToken::new();
    let pipelines = context.observer.served().clone();
    let api = api::run(arguments.api_address, pipelines, arguments.api_auth, client, shutdown.clone());
    tokio::pin!(api);
    let (elected, leads) = oneshot::channel();
    let leads = leads.map(drop).shared();
    let work = control(Arc::clone(&context), namespaces, looked, leads, stopped.shared());
    let election = async {
        candidate.lead().await;
        tracing::info!("leading");
        context.leads.store(true, Ordering::Relaxed);
        metrics.leads(true);
        if elected.send(()).is_ok() {
            candidate.keep().await;
        }
    };
    tokio::select! {
        () = work => {}
        // What is under way is dropped with this: nothing is written any more.
        () = election => anyhow::bail!("the lease is lost: another operator may lead by now"),
        result = &mut served => return result.context("the metrics port is gone")?,
        result = &mut api => return result,
    }
    shutdown.cancel();
    api.await?;
    if context.leads.load(Ordering::Relaxed) {
        candidate.release().await.context("failed to give the lease back")?;
    }
    Ok(())
}

/// By the kubeconfig, or by the pod's own account.
async fn client() -> Result<Client, anyhow::Error> {
    let builder = ClientBuilder::try_from(kube::Config::infer().await?)?;
    #[cfg(feature = "crash-points")]
    let builder = builder.with_layer(&tower::util::MapRequestLayer::new(|request| {
        rollcall_worker::crash::point(rollcall_worker::crash::Point::Request);
        request
    }));
    Ok(builder.build())
}

/// One controller a namespace, until `stopped`.
async fn control(
    context: Arc<Context>,
    namespaces: Vec<Option<String>>,
    mut looked: mpsc::UnboundedReceiver<ObjectRef<Rollcall>>,
    leads: impl Future<Output = ()> + Clone + Send + 'static,
    stopped: impl Future<Output = ()> + Clone + Send + Sync + 'static,
) {
    let (looks, _) = broadcast::channel(LOOKS);
    let mut controllers = Vec::new();
    for namespace in namespaces {
        let looks = looks.subscribe();
        controllers.push(controller(Arc::clone(&context), namespace, looks, leads.clone(), stopped.clone()));
    }
    let forward = async {
        while let Some(key) = looked.recv().await {
            // Who stands by only keeps what it saw, to be able to decide at once when its turn comes.
            if context.leads.load(Ordering::Relaxed) && looks.send(key).is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = join_all(controllers) => {}
        () = forward => {}
    }
}

async fn controller(
    context: Arc<Context>,
    namespace: Option<String>,
    looks: broadcast::Receiver<ObjectRef<Rollcall>>,
    leads: impl Future<Output = ()> + Send + 'static,
    stopped: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = context.client.clone();
    let (rollcalls, deployments, budgets): (Api<Rollcall>, Api<Deployment>, Api<PodDisruptionBudget>) =
        match &namespace {
            Some(namespace) => (
                Api::namespaced(client.clone(), namespace),
                Api::namespaced(client.clone(), namespace),
                Api::namespaced(client, namespace),
            ),
            None => (Api::all(client.clone()), Api::all(client.clone()), Api::all(client)),
        };
    // Only ours: all others would fill the memory.
    let ours = watcher::Config::default().labels("app.kubernetes.io/managed-by=rollcall-operator");
    let looks = stream::unfold(looks, move |mut looks| {
        let namespace = namespace.clone();
        async move {
            loop {
                match looks.recv().await {
                    Ok(key) if namespace.is_none() || key.namespace == namespace => {
                        return Some((key, looks));
                    }
                    // A look that was missed comes again with the next one.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        }
    });
    let (reader, writer) = reflector::store();
    // Who set which field is of no use here, and is half of each resource.
    let slim = watcher(rollcalls, watcher::Config::default())
        .modify(|rollcall| rollcall.metadata.managed_fields = None);
    Controller::for_stream(reflector(writer, slim).applied_objects(), reader)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .owns(deployments, ours.clone())
        .owns(budgets, ours)
        .reconcile_on(looks)
        .reconcile_all_on(stream::once(leads))
        .graceful_shutdown_on(stopped)
        .run(reconcile, after_failure, Arc::clone(&context))
        .for_each(|result| {
            match result {
                Ok(_) => {}
                // It is gone: its next look, or the end of its workers, asked for it.
                Err(kube::runtime::controller::Error::ObjectNotFound(key)) => {
                    let namespace = key.namespace.as_deref().unwrap_or_default();
                    context.forget(&ObjectRef::new(&key.name).within(namespace));
                }
                Err(error) => tracing::debug!(%error, "the controller goes on"),
            }
            std::future::ready(())
        })
        .await;
}

fn namespaces(arguments: &Arguments, own: &str) -> Vec<Option<String>> {
    let mut namespaces: Vec<&String> =
        arguments.watch_namespaces.iter().filter(|namespace| !namespace.is_empty()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    if namespaces.iter().any(|namespace| *namespace == "*") {
        return vec![None];
    }
    if namespaces.is_empty() {
        return vec![Some(own.to_owned())];
    }
    namespaces.into_iter().cloned().map(Some).collect()
}

fn times(arguments: &Arguments) -> Result<Times, anyhow::Error> {
    let times = Times {
        duration: arguments.lease_duration,
        renew_deadline: arguments.renew_deadline,
        retry: arguments.retry_period,
    };
    anyhow::ensure!(
        times.retry < times.renew_deadline && times.renew_deadline < times.duration,
        "--retry-period must be shorter than --renew-deadline, and that shorter than --lease-duration: a leader must have \
         stopped before another takes its lease"
    );
    anyhow::ensure!(
        times.duration.as_secs() >= 1 && times.duration.subsec_nanos() == 0,
        "--lease-duration is in whole seconds"
    );
    Ok(times)
}

fn defaults(arguments: &Arguments) -> Result<Defaults, anyhow::Error> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)?;
        if text.trim().is_empty() {
            return Ok(Defaults::default());
        }
        Ok::<Defaults, anyhow::Error>(serde_saphyr::from_str(&text)?)
    };
    let defaults = match &arguments.worker_defaults {
        Some(path) => read(path).with_context(|| format!("failed to read {}", path.display()))?,
        None => Defaults::default(),
    };
    Ok(Defaults {
        image: arguments.worker_image.clone(),
        image_pull_policy: arguments.worker_image_pull_policy.clone(),
        ..defaults
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    insights::spec::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a whole number with ms, s, m or h, such as 15s".to_owned())
}

/// The controller's name in events.
const CONTROLLER: &str = "rollcall-operator";

/// Reconciles at once.
const CONCURRENCY: u16 = 10;

/// Looks that wait for a reconcile; more are let go, and come again.
const LOOKS: usize = 512;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn settings(line: &[&str]) -> Result<Settings, String> {
        let line = ["x", "--worker-image", "i"].iter().chain(line);
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        Settings::read(line.arguments).map_err(|error| format!("{error:#}"))
    }

    fn watched(line: &[&str]) -> Vec<Option<String>> {
        namespaces(&settings(line).unwrap().arguments, "own")
    }

    #[test]
    fn its_own_namespace_is_watched_or_those_that_are_named_or_all() {
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(watched(&[]), [named("own")]);
        assert_eq!(watched(&["--watch-namespaces", ""]), [named("own")]);
        assert_eq!(watched(&["--watch-namespaces", "b,a,b"]), [named("a"), named("b")]);
        assert_eq!(watched(&["--watch-namespaces", "a,*"]), [None]);
    }

    #[test]
    fn a_leader_stops_before_another_may_take_its_lease() {
        assert!(settings(&[]).is_ok());
        for wrong in [
            ["--renew-deadline", "15s"],
            ["--retry-period", "10s"],
            ["--lease-duration", "1500ms"],
            ["--lease-duration", "0s"],
            ["--resync", "5"],
        ] {
            assert!(settings(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn defaults_of_workers_are_a_file() {
        let path = std::env::temp_dir().join(format!("rollcall-defaults-{}.yaml", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            settings(&["--worker-defaults", path.to_str().unwrap()]).map(|settings| settings.defaults)
        };
        assert_eq!(read("").unwrap(), Defaults { image: "i".to_owned(), ..Defaults::default() });
        let text = "resources: {limits: {memory: 256Mi}}\nterminationGracePeriodSeconds: 90\npodLabels: {a: b}\n\
                    imagePullSecrets: [{name: pull}]\n";
        let defaults = read(text).unwrap();
        assert_eq!(defaults.termination_grace_period_seconds, Some(90));
        assert_eq!((defaults.pod_labels.len(), defaults.image_pull_secrets.len()), (1, 1));
        assert!(read("unknown: 1").unwrap_err().contains("unknown"));
        std::fs::remove_file(&path).unwrap();
    }
}
