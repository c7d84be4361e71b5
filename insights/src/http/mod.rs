//! The HTTP API over any number of pipelines: what `rollcall serve` and the operator answer with.
//!
//! Owns paths, representations, conditional requests and errors. It never counts, never writes to a store, and knows of no
//! pipeline but those in [`Pipelines`].
//!
//! Whoever runs it keeps [`Pipelines`] up to date and calls [`serve`]:
//!
//! ```no_run
//! # async fn example(store: insights::store::Store) -> std::io::Result<()> {
//! use insights::http::{Pipelines, serve};
//!
//! let pipelines = Pipelines::default();
//! pipelines.put("user-login", store);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let shutdown = tokio_util::sync::CancellationToken::new();
//! serve(listener, pipelines, |routes| routes, shutdown).await
//! # }
//! ```

mod answer;
mod csv;
mod events;
mod headline;
mod index;
mod insights;
mod lag;
mod negotiate;
mod pipelines;
mod problem;
mod replicas;
#[cfg(test)]
mod tests;
mod zones;

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::events::Events;
pub use self::pipelines::{Decision, Lag, PartitionLag, Pipelines};
pub use self::problem::Problem;

/// Answers on a listener until told to stop; event streams end then, and what is under way is finished.
///
/// `protect` gets the routes under `/api/v1` and may put a layer around them, for example one that asks who is there. Such
/// a layer answers with a [`Problem`].
pub async fn serve(
    listener: TcpListener,
    pipelines: Pipelines,
    protect: impl FnOnce(Router) -> Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let events = Arc::new(Events::new(shutdown.clone()));
    let router = router(pipelines.clone(), Arc::clone(&events), protect);
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        result = served.into_future() => result,
        () = events.watch(&pipelines) => Ok(()),
        () = too_late => {
            tracing::info!("some clients did not take their answers in time");
            Ok(())
        }
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    pipelines: Pipelines,
    events: Arc<Events>,
}

impl FromRef<Shared> for Pipelines {
    fn from_ref(shared: &Shared) -> Self {
        shared.pipelines.clone()
    }
}

impl FromRef<Shared> for Arc<Events> {
    fn from_ref(shared: &Shared) -> Self {
        Self::clone(&shared.events)
    }
}

/// All paths.
fn router(pipelines: Pipelines, events: Arc<Events>, protect: impl FnOnce(Router) -> Router) -> Router {
    let api = Router::new()
        .route("/api/v1/pipelines", get(headline::list))
        .route("/api/v1/pipelines/{id}/insights", get(insights::negotiated))
        .route("/api/v1/pipelines/{id}/insights.csv", get(insights::csv))
        .route("/api/v1/pipelines/{id}/lag", get(lag::lag))
        .route("/api/v1/pipelines/{id}/workers", get(replicas::workers))
        .route("/api/v1/pipelines/{id}/decisions", get(replicas::decisions))
        .route("/api/v1/events", get(events::stream))
        .with_state(Shared { pipelines, events });
    let open = Router::new().route("/", get(index::index)).route("/openapi.json", get(index::openapi));
    open.merge(protect(api))
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(from_fn(problem::finish))
}

/// The wall clock, in milliseconds since 1970: it tells which reports are of workers that are gone.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long clients have to take their last answers.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
