//! What goes wrong, and how a client is told.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::world::World;
#[cfg(feature = "redis")]
use super::world::away;
use super::{Answer, Api};
use crate::http::{Problem, router};

#[tokio::test]
async fn every_mistake_is_a_problem_document_that_says_what_it_is() {
    let api = Api::new();
    api.pipelines.put("p", World::new().store);
    let insights = "/api/v1/pipelines/p/insights";
    let cases = [
        (Method::GET, "/api/v1/pipelines/q/insights", "", 404, "unknown-pipeline"),
        (Method::GET, "/api/v1/pipelines/q/lag", "", 404, "unknown-pipeline"),
        (Method::GET, "/api/v1/pipelines/%FF/workers", "", 404, "unknown-pipeline"),
        (Method::GET, insights, "", 404, "nothing-published"),
        (Method::GET, "/api/v1/pipelines/p", "", 404, "unknown-path"),
        (Method::GET, "/metrics", "", 404, "unknown-path"),
        (Method::GET, "/api/v1/pipelines/p/insights?tz=Mars/Olympus", "", 400, "unknown-time-zone"),
        (Method::GET, "/api/v1/pipelines/p/insights?tz=", "", 400, "unknown-time-zone"),
        (Method::GET, "/api/v1/pipelines/p/insights?tz=UTC&tz=UTC", "", 400, "unknown-time-zone"),
        (Method::GET, "/api/v1/pipelines/p/insights?tz=%FF", "", 400, "unknown-time-zone"),
        (Method::GET, insights, "text/html", 406, "not-acceptable"),
        (Method::GET, "/api/v1/pipelines", "text/csv", 406, "not-acceptable"),
        (Method::GET, "/api/v1/events", "application/json", 406, "not-acceptable"),
        (Method::DELETE, insights, "", 405, "method-not-allowed"),
        (Method::POST, "/", "", 405, "method-not-allowed"),
        (Method::OPTIONS, "/api/v1/events", "", 405, "method-not-allowed"),
    ];
    for (method, path, accept, status, kind) in cases {
        let answer = api.ask(method, path, &[("accept", accept)]).await;
        check_problem(&answer, status, kind);
        let instance = path.split('?').next().unwrap();
        assert_eq!(answer.json()["instance"], json!(instance), "{path}");
        if status == 405 {
            assert_eq!(answer.header("allow"), "GET, HEAD", "{path}");
        }
    }
}

/// The id is only looked up in the list: this store answers nothing but that it is away.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_strange_id_never_reaches_a_store() {
    let api = Api::new();
    api.pipelines.put("p", away());
    check_problem(&api.get("/api/v1/pipelines/p/insights").await, 503, "store-unavailable");
    let long = "p".repeat(5000);
    for id in ["p%2F0", "p%7D%3Ainsights", "%70%00", "P", "..", "p%20", "%F0%9F%98%80", "*", &long] {
        for what in ["insights", "insights.csv", "lag", "workers", "decisions"] {
            let answer = api.get(&format!("/api/v1/pipelines/{id}/{what}")).await;
            check_problem(&answer, 404, "unknown-pipeline");
        }
    }
    let known = api.get("/api/v1/pipelines/%70/insights").await;
    check_problem(&known, 503, "store-unavailable");
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_redis_that_is_away_is_told_with_a_time_to_come_back_and_without_its_address() {
    let api = Api::new();
    api.pipelines.put("p", away());
    for what in ["insights", "insights?tz=UTC", "insights.csv", "lag", "workers"] {
        let answer = api.get(&format!("/api/v1/pipelines/p/{what}")).await;
        check_problem(&answer, 503, "store-unavailable");
        assert_eq!(answer.header("retry-after"), "2");
        assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
    }
    let decisions = api.get("/api/v1/pipelines/p/decisions").await;
    assert_eq!(decisions.status, StatusCode::OK);
}

#[tokio::test]
async fn a_layer_around_the_api_leaves_its_description_open() {
    async fn refuse(request: Request, next: Next) -> Response {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return next.run(request).await;
        }
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "send a bearer token")
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            .into_response()
    }
    let mut api = Api::new();
    api.router = router(api.pipelines.clone(), api.events.clone(), |routes| routes.layer(from_fn(refuse)));
    for path in ["/api/v1/pipelines", "/api/v1/events", "/api/v1/pipelines/p/lag"] {
        let answer = api.get(path).await;
        check_problem(&answer, 401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.json()["instance"], json!(path));
    }
    let allowed = api.ask(Method::GET, "/api/v1/pipelines", &[("authorization", "Bearer x")]).await;
    assert_eq!(allowed.status, StatusCode::OK);
    for path in ["/", "/openapi.json"] {
        assert_eq!(api.get(path).await.status, StatusCode::OK);
    }
}

fn check_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let document = answer.json();
    assert_eq!(document["type"], json!(format!("tag:rollcall.dev,2026:{kind}")));
    assert_eq!(document["status"], json!(status));
}
