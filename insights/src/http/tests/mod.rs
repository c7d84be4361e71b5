//! Tests of the API as a client sees it: through the router, over a store in memory.

mod conditional;
mod described;
mod events;
mod problems;
mod shown;
mod world;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::events::Events;
use super::{Pipelines, router};

/// The API without a port.
struct Api {
    router: Router,
    pipelines: Pipelines,
    events: Arc<Events>,
    shutdown: CancellationToken,
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Api {
    fn new() -> Self {
        let (pipelines, shutdown) = (Pipelines::default(), CancellationToken::new());
        let events = Arc::new(Events::new(shutdown.clone()));
        let router = router(pipelines.clone(), Arc::clone(&events), |routes| routes);
        Self { router, pipelines, events, shutdown }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (head, body) = self.open(method, path, headers).await.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(body.into()).unwrap();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn open(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
