//! Entity tags, HEAD, and what keeps caches and browsers right.

use axum::http::{Method, StatusCode};

use super::Api;
use super::world::{World, at};

const INSIGHTS: &str = "/api/v1/pipelines/p/insights";

#[tokio::test]
async fn the_stored_document_goes_out_byte_for_byte_and_once() {
    let (api, mut world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    world.login(0, at("2026-11-22", 5, 0), true, "android");
    world.flush().await;
    let document = world.publish(at("2026-11-22", 6, 0)).await;
    let first = api.get(INSIGHTS).await;
    assert_eq!((first.status, &first.body), (StatusCode::OK, &document));
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("vary"), "Accept");
    assert_eq!(first.header("cache-control"), "no-cache");
    assert_eq!(first.header("x-content-type-options"), "nosniff");
    let tag = first.header("etag").to_owned();
    assert_eq!(api.get(INSIGHTS).await.header("etag"), tag);

    let head = api.ask(Method::HEAD, INSIGHTS, &[]).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("etag"), tag);
    assert_eq!(head.header("content-length"), document.len().to_string());

    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = api.ask(Method::GET, INSIGHTS, &[("if-none-match", &known)]).await;
        assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
        assert_eq!(again.header("etag"), tag);
    }

    world.login(0, at("2026-11-22", 5, 0), true, "android");
    world.flush().await;
    world.publish(at("2026-11-22", 6, 0)).await;
    let changed = api.ask(Method::GET, INSIGHTS, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn every_representation_has_a_tag_of_its_own() {
    let (api, mut world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    world.login(0, at("2026-11-22", 5, 0), true, "android");
    world.flush().await;
    world.publish(at("2026-11-22", 6, 0)).await;
    let mut tags = Vec::new();
    for (query, accept) in [
        ("", "application/json"),
        ("", "text/csv"),
        ("?tz=Asia/Kathmandu", "application/json"),
        ("?tz=Asia/Kathmandu", "text/csv"),
        ("?tz=UTC", "application/json"),
    ] {
        let path = format!("{INSIGHTS}{query}");
        let answer = api.ask(Method::GET, &path, &[("accept", accept)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        tags.push(answer.header("etag").to_owned());
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count);

    let dotted = api.get("/api/v1/pipelines/p/insights.csv").await;
    let negotiated = api.ask(Method::GET, INSIGHTS, &[("accept", "text/csv")]).await;
    assert_eq!(dotted.body, negotiated.body);
    assert_eq!(dotted.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(dotted.header("content-disposition"), "attachment; filename=\"insights.csv\"");
}

#[tokio::test]
async fn numbers_keep_every_digit() {
    let (api, world) = (Api::new(), World::new());
    api.pipelines.put("p", world.store.clone());
    let document =
        r#"{"logins":{"total": 18446744073709551615},"positions":{},"publication":"0000000000000001"}"#;
    world.put(document).await;
    assert_eq!(api.get(INSIGHTS).await.body, document);
    let zoned = api.get(&format!("{INSIGHTS}?tz=UTC")).await;
    assert!(zoned.body.contains(r#""total":18446744073709551615"#), "{}", zoned.body);
}
