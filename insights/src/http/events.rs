//! Server-sent events: each publication, as it happens.
//!
//! Owns the one look at the stores for all clients, and how many clients there may be. It queues nothing: a slow client
//! misses publications that newer ones have replaced, and never the newest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::headline::Latest;
use super::negotiate::choose;
use super::pipelines::{Pipeline, Pipelines};
use super::problem::Problem;

/// What all clients follow.
pub(super) struct Events {
    board: watch::Sender<Board>,
    clients: Arc<Semaphore>,
    /// Pipelines that are looked at right now: one that does not answer is not asked again meanwhile.
    looking: Arc<Mutex<BTreeSet<String>>>,
    shutdown: CancellationToken,
}

/// The latest publication of each pipeline, in the order in which they came.
#[derive(Default)]
struct Board {
    sequence: u64,
    latest: BTreeMap<String, Publication>,
}

#[derive(Clone)]
struct Publication {
    sequence: u64,
    tag: String,
    json: String,
}

/// One client.
struct Client {
    board: watch::Receiver<Board>,
    /// What it has already, by its own word.
    known: Option<String>,
    /// Up to which publication it has all.
    sequence: u64,
    queue: VecDeque<Publication>,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Events {
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self {
            board: watch::Sender::default(),
            clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
            looking: Arc::default(),
            shutdown,
        }
    }

    /// Looks for publications, for as long as anybody follows.
    pub(super) async fn watch(&self, pipelines: &Pipelines) {
        let mut looks = JoinSet::new();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(_) = looks.join_next() => continue,
            }
            let all = pipelines.all();
            let has_clients = self.board.receiver_count() > 0;
            self.board.send_if_modified(|board| {
                // Nobody looked meanwhile: what was the latest may not be any more.
                board.latest.retain(|id, _| has_clients && all.iter().any(|pipeline| pipeline.id == *id));
                false
            });
            if has_clients {
                for pipeline in all {
                    looks.spawn(look(pipeline, self.board.clone(), Arc::clone(&self.looking)));
                }
            }
        }
    }

    /// Takes a client in, if there is a place left.
    fn follow(&self, known: Option<String>) -> Result<Client, Problem> {
        let place = Arc::clone(&self.clients).try_acquire_owned().map_err(|_| Problem::too_many_clients())?;
        let board = self.board.subscribe();
        let has = |publication: &&Publication| Some(&publication.tag) == known.as_ref();
        let sequence = board.borrow().latest.values().find(has).map_or(0, |publication| publication.sequence);
        let mut client = Client {
            board,
            known,
            sequence,
            queue: VecDeque::new(),
            shutdown: self.shutdown.clone(),
            _place: place,
        };
        client.collect();
        Ok(client)
    }
}

impl Client {
    /// The next publication; none when the server ends.
    async fn next(&mut self) -> Option<Publication> {
        loop {
            if let Some(publication) = self.queue.pop_front() {
                return Some(publication);
            }
            tokio::select! {
                // The end first: there may always be one more publication.
                biased;
                () = self.shutdown.cancelled() => return None,
                changed = self.board.changed() => changed.ok()?,
            }
            self.collect();
        }
    }

    /// Queues what is new, in its order.
    fn collect(&mut self) {
        let board = self.board.borrow_and_update();
        let mut news: Vec<&Publication> =
            board.latest.values().filter(|publication| publication.sequence > self.sequence).collect();
        news.sort_by_key(|publication| publication.sequence);
        self.sequence = board.sequence.max(self.sequence);
        let unknown = news.into_iter().filter(|publication| Some(&publication.tag) != self.known.as_ref());
        self.queue.extend(unknown.cloned());
    }
}

/// `/api/v1/events`
pub(super) async fn stream(
    State(events): State<Arc<Events>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    choose(&headers, &["text/event-stream"])?;
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let client = events.follow(known)?;
    let stream = stream::unfold(client, |mut client| async move {
        let publication = client.next().await?;
        let event = sse::Event::default().event("publication").id(publication.tag).data(publication.json);
        Some((Ok::<_, Infallible>(event), client))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_EVERY)).into_response())
}

/// Looks at one pipeline, and tells when it has a new publication.
async fn look(pipeline: Arc<Pipeline>, board: watch::Sender<Board>, looking: Arc<Mutex<BTreeSet<String>>>) {
    let mine = || looking.lock().unwrap_or_else(PoisonError::into_inner);
    if !mine().insert(pipeline.id.clone()) {
        return;
    }
    match pipeline.look().await {
        Ok(Some(latest)) => {
            board.send_if_modified(|board| board.take(&pipeline.id, &latest));
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, pipeline = pipeline.id, "failed to look for a publication"),
    }
    mine().remove(&pipeline.id);
}

impl Board {
    /// Takes a publication, if it is a new one.
    fn take(&mut self, id: &str, latest: &Latest) -> bool {
        if self.latest.get(id).is_some_and(|known| known.tag == latest.tag) {
            return false;
        }
        self.sequence += 1;
        let json = json!({ "id": id, "headline": latest.headline }).to_string();
        let publication = Publication { sequence: self.sequence, tag: latest.tag.clone(), json };
        self.latest.insert(id.to_owned(), publication);
        true
    }
}

/// Clients that may follow at once: each holds a connection for as long as it likes.
pub(super) const CLIENTS_MAX: usize = 64;

/// How often the stores are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often an idle stream says that it lives.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
