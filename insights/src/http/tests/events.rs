//! Events: who hears of which publication, and how many may listen.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::Api;
use super::world::{World, at};
use crate::http::events::CLIENTS_MAX;

/// One client's stream.
struct Follower {
    body: BodyDataStream,
    text: String,
}

impl Follower {
    async fn open(api: &Api, headers: &[(&str, &str)]) -> Self {
        Self::of(api.open(Method::GET, "/api/v1/events", headers).await)
    }

    fn of(response: Response<Body>) -> Self {
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The id and the data of the next event; none at the stream's end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                let found = (field("id: ").to_owned(), serde_json::from_str(field("data: ")).unwrap());
                assert_eq!(field("event: "), "publication");
                self.text = rest.to_owned();
                return Some(found);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.body.next()).await.expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }
}

fn watched() -> Api {
    let api = Api::new();
    let (events, pipelines) = (Arc::clone(&api.events), api.pipelines.clone());
    tokio::spawn(async move { events.watch(&pipelines).await });
    api
}

#[tokio::test]
async fn each_publication_is_told_with_its_tag_and_once() {
    let (api, mut world) = (watched(), World::new());
    api.pipelines.put("p", world.store.clone());
    let mut first = Follower::open(&api, &[]).await;
    let mut told = Vec::new();
    for number in 1..=3_u64 {
        world.login(0, at("2026-11-22", 5, 0), true, "android");
        world.flush().await;
        world.publish(at("2026-11-22", 6, 0)).await;
        let (id, data) = first.next().await.unwrap();
        assert_eq!((&data["id"], &data["headline"]["logins"]), (&json!("p"), &json!(number)));
        let insights = api.get("/api/v1/pipelines/p/insights").await;
        assert_eq!(insights.header("etag"), format!("\"{id}\""));
        told.push(id);
    }

    // Who comes again goes on from where he was; who comes anew gets what there is.
    let mut again = Follower::open(&api, &[("last-event-id", &told[2])]).await;
    let mut late = Follower::open(&api, &[("last-event-id", &told[1])]).await;
    let mut anew = Follower::open(&api, &[]).await;
    assert_eq!(late.next().await.unwrap().0, told[2]);
    assert_eq!(anew.next().await.unwrap().0, told[2]);
    world.publish(at("2026-11-22", 7, 0)).await;
    let (id, _) = first.next().await.unwrap();
    assert!(!told.contains(&id));
    assert_eq!(again.next().await.unwrap().0, id);

    api.shutdown.cancel();
    for follower in [&mut first, &mut again, &mut late, &mut anew] {
        while follower.next().await.is_some() {}
    }
}

#[tokio::test]
async fn a_client_hears_of_all_pipelines_and_of_none_that_is_gone() {
    let (api, mut worlds) = (watched(), [World::new(), World::new()]);
    let mut follower = Follower::open(&api, &[]).await;
    for (world, id) in worlds.iter_mut().zip(["a", "b"]) {
        api.pipelines.put(id, world.store.clone());
        world.login(0, at("2026-11-22", 5, 0), true, id);
        world.flush().await;
        world.publish(at("2026-11-22", 6, 0)).await;
        assert_eq!(follower.next().await.unwrap().1["id"], json!(id));
    }
    api.pipelines.remove("a");
    for world in &mut worlds {
        world.publish(at("2026-11-22", 7, 0)).await;
    }
    assert_eq!(follower.next().await.unwrap().1["id"], json!("b"));
}

#[tokio::test]
async fn one_client_too_many_is_told_when_to_come_back() {
    let api = watched();
    let mut followers = Vec::new();
    for _ in 0..CLIENTS_MAX {
        followers.push(Follower::open(&api, &[]).await);
    }
    let refused = api.get("/api/v1/events").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "30"));
    assert_eq!(refused.json()["type"], json!("tag:rollcall.dev,2026:too-many-clients"));
    followers.pop();
    Follower::open(&api, &[]).await;
}

const DEADLINE: Duration = Duration::from_secs(20);
