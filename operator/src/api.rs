//! The HTTP API of all pipelines that this operator looks at.
//!
//! Owns who may ask. What is answered is `insights::http`'s, the same as `rollcall serve` gives.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use clap::ValueEnum;
use insights::http::{Pipelines, Problem, serve};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client, Resource as _};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::resource::Rollcall;

/// Who may ask the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Auth {
    /// Everybody who can reach it.
    #[default]
    None,
    /// Who has a token of the cluster and the right to `get` `rollcalls/insights` of the pipeline.
    TokenReview,
}

/// Listens, says where, and answers until `shutdown`.
pub async fn run(
    address: SocketAddr,
    pipelines: Pipelines,
    auth: Auth,
    client: Client,
    shutdown: CancellationToken,
) -> Result<(), anyhow::Error> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on the API's address {address}"))?;
    let bound = listener.local_addr().context("failed to ask for the API's address")?;
    tracing::info!(address = %bound, ?auth, "insights on /api/v1/pipelines");
    let guard = Arc::new(Guard { client, pipelines: pipelines.clone(), verdicts: Mutex::default() });
    let protect = |routes: Router| match auth {
        Auth::None => routes,
        Auth::TokenReview => routes.layer(from_fn_with_state(guard, ask)),
    };
    serve(listener, pipelines, protect, shutdown).await.context("the API's port is gone")
}

/// Asks the API server who somebody is and what he may see, and remembers the answers for a while.
struct Guard {
    client: Client,
    pipelines: Pipelines,
    verdicts: Mutex<HashMap<Question, (Instant, Verdict)>>,
}

/// A token's hash, and the resource: namespace and name, or a namespace as a whole.
type Question = ([u8; 32], String, Option<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Forbidden,
    Allowed,
}

async fn ask(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim) else {
        return unauthenticated("this API asks for a bearer token of the cluster");
    };
    for (namespace, name) in guard.asked_for(request.uri().path()) {
        match guard.verdict(token, namespace, name).await {
            Ok(Verdict::Allowed) => {}
            Ok(Verdict::Unknown) => return unauthenticated("the cluster does not know this token"),
            Ok(Verdict::Forbidden) => {
                let detail = "the token's owner may not get rollcalls/insights of what was asked for";
                return Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response();
            }
            Err(error) => {
                tracing::warn!(%error, "the API server does not say who asks");
                let detail = "the API server does not answer: try again";
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unreviewed", detail).into_response();
            }
        }
    }
    next.run(request).await
}

fn unauthenticated(detail: &str) -> Response {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        .into_response()
}

impl Guard {
    /// What a path shows: one resource, or all of each namespace that has one.
    fn asked_for(&self, path: &str) -> Vec<(String, Option<String>)> {
        let named = path.strip_prefix("/api/v1/pipelines/").and_then(|rest| rest.split('/').next());
        if let Some((namespace, name)) = named.and_then(|id| id.split_once('.')) {
            return vec![(namespace.to_owned(), Some(name.to_owned()))];
        }
        let ids = self.pipelines.ids();
        let namespaces: BTreeSet<&str> = ids.iter().filter_map(|id| Some(id.split_once('.')?.0)).collect();
        if namespaces.is_empty() {
            // Nothing is shown, but to nobody whom the cluster does not know.
            return vec![(self.client.default_namespace().to_owned(), None)];
        }
        namespaces.into_iter().map(|namespace| (namespace.to_owned(), None)).collect()
    }

    async fn verdict(
        &self,
        token: &str,
        namespace: String,
        name: Option<String>,
    ) -> Result<Verdict, kube::Error> {
        let question = (Sha256::digest(token).into(), namespace, name);
        if let Some(verdict) = self.remembered(&question) {
            return Ok(verdict);
        }
        let verdict = match self.who_is(token).await? {
            Some(user) => self.may(user, &question.1, question.2.as_deref()).await?,
            None => Verdict::Unknown,
        };
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        verdicts.insert(question, (Instant::now(), verdict));
        Ok(verdict)
    }

    fn remembered(&self, question: &Question) -> Option<Verdict> {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked_at, verdict) = verdicts.get(question)?;
        (asked_at.elapsed() < VERDICT_LASTS).then_some(*verdict)
    }

    async fn who_is(&self, token: &str) -> Result<Option<UserInfo>, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() },
            ..TokenReview::default()
        };
        let review = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let status = review.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }

    async fn may(&self, user: UserInfo, namespace: &str, name: Option<&str>) -> Result<Verdict, kube::Error> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                groups: user.groups,
                uid: user.uid,
                extra: user.extra,
                resource_attributes: Some(ResourceAttributes {
                    group: Some(Rollcall::group(&()).into_owned()),
                    resource: Some(Rollcall::plural(&()).into_owned()),
                    subresource: Some("insights".to_owned()),
                    verb: Some("get".to_owned()),
                    namespace: Some(namespace.to_owned()),
                    name: name.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let review = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let is_allowed = matches!(review.status, Some(SubjectAccessReviewStatus { allowed: true, .. }));
        Ok(if is_allowed { Verdict::Allowed } else { Verdict::Forbidden })
    }
}

/// A right that was taken away ends no later than this.
const VERDICT_LASTS: Duration = Duration::from_secs(30);

/// Bounds what is remembered.
const VERDICTS_MAX: usize = 4096;
