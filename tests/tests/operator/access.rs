//! Passwords, certificates and tokens: what they open, what they do not, and that they are never told. And all of the chart's
//! rights, each of which is used.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use lab::certificates::Authority;
use lab::http::{self, Answer};
use lab::oracle::corpus::recent_records;
use lab::{kafka, redis};
use serde_json::{Value, json};

use super::site::{Ground, Site};

#[test]
fn secrets_and_tokens_open_what_they_should_and_every_right_is_used() -> Result<()> {
    let authority = Authority::new()?;
    let ground = Ground::take_with(
        kafka::Options::new().tls(&authority).scram_user("rollcall", KAFKA_PASSWORD),
        redis::Options::new().user("rollcall", REDIS_PASSWORD, "~* &* +@all"),
    )?;
    let mut site = Site::new(ground, "access", 2)?;
    (site.kafka, site.redis) = (KAFKA, REDIS);
    site.make_namespace()?;
    site.apply_secrets(&std::fs::read_to_string(authority.certificate())?)?;
    site.release(
        "install",
        &["insightsApi.auth.type=TokenReview", "rbac.secrets={kafka-login,redis-login}"],
    )?;
    site.create("mode: Manual, interval: 2s", "replicas: 1\n")?;
    site.wait_for_replicas(1)?;
    site.pipeline().feed(&recent_records(81, 2, 300))?;
    site.is_exact()?;
    for condition in ["KafkaReachable", "RedisReachable", "Ready"] {
        site.until_it_is(condition, "True")?;
    }
    tokens_open_what_they_should(&site)?;
    every_right_is_used(&site)?;
    passwords_are_never_told(&site)?;
    site.kubectl(&[&["delete"], &THE_TESTS_OWN[..]].concat())?;
    site.goes()
}

impl Site {
    fn apply_secrets(&self, authority: &str) -> Result<()> {
        let object = |kind: &str, name: &str, field: &str, value: Value| {
            let metadata = json!({"name": name, "namespace": self.namespace});
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, (field): value})
        };
        let redis_login = json!({"user": "rollcall", "password": REDIS_PASSWORD});
        let objects = [
            object("Secret", "kafka-login", "stringData", json!({"password": KAFKA_PASSWORD})),
            object("Secret", "redis-login", "stringData", redis_login),
            object("ConfigMap", "authority", "data", json!({"ca.crt": authority})),
        ];
        for object in objects {
            self.ground.cluster.apply(&object.to_string())?;
        }
        Ok(())
    }
}

fn tokens_open_what_they_should(site: &Site) -> Result<()> {
    for account in ["reader", "stranger"] {
        site.kubectl(&["create", "serviceaccount", account])?;
    }
    site.kubectl(&["create", "role", "reader", "--verb=get", "--resource=rollcalls.rollcall.dev/insights"])?;
    let account = format!("--serviceaccount={}:reader", site.namespace);
    site.kubectl(&["create", "rolebinding", "reader", "--role=reader", &account])?;
    let address = site.address("rollcall-api", 8080)?;
    let insights = format!("/api/v1/pipelines/{}/insights", site.settings.pipeline);
    let ask = |token: &str, path: &str| -> Result<Answer> {
        http::get_with(&address, path, &[("Authorization", &format!("Bearer {token}"))])
    };
    let token = |account: &str| -> Result<String> {
        Ok(site.kubectl(&["create", "token", account])?.trim().to_owned())
    };
    let nobody = http::get(&address, &insights)?;
    assert_eq!(nobody.status, 401, "{nobody:?}");
    assert!(nobody.headers.to_lowercase().contains("www-authenticate: bearer"), "{nobody:?}");
    assert_eq!(ask("made-up", &insights)?.status, 401);
    let stranger = ask(&token("stranger")?, &insights)?;
    assert_eq!(stranger.status, 403, "{stranger:?}");
    assert!(!stranger.body.contains("logins"), "{stranger:?}");
    let reader = token("reader")?;
    // A standby serves as soon as it has seen the resource.
    for path in [insights.as_str(), "/api/v1/pipelines"] {
        site.until("an answer to who may read", || {
            let answer = ask(&reader, path)?;
            ensure!(answer.status == 200 && answer.body.contains("logins"), "{answer:?}");
            Ok(())
        })?;
    }
    assert_eq!(ask(&reader, "/api/v1/pipelines/kube-system.other/insights")?.status, 403);
    Ok(())
}

fn every_right_is_used(site: &Site) -> Result<()> {
    site.patch(r#"{"spec":{"workers":{"podDisruptionBudget":{"maxUnavailable":2}}}}"#)?;
    // The same event again is a patch of the first.
    for _ in 0..2 {
        site.patch(r#"{"spec":{"insights":{"timeZone":"Nowhere/Land"}}}"#)?;
        site.until_it_is("ConfigurationValid", "False")?;
        site.patch(r#"{"spec":{"insights":{"timeZone":"Europe/Paris"}}}"#)?;
        site.until_it_is("ConfigurationValid", "True")?;
    }
    site.wait_for_replicas(1)?;
    site.asks_for_nothing_forbidden()?;
    site.until("each right to be used", || {
        let (granted, asked) = (site.granted()?, site.asked_for()?);
        let unused: BTreeSet<&String> = granted.difference(&asked).collect();
        ensure!(unused.is_empty(), "granted and never used: {unused:?}; used: {asked:?}");
        Ok(())
    })
}

fn passwords_are_never_told(site: &Site) -> Result<()> {
    let mut told = site.words();
    for kinds in ["configmaps,deployments,pods,rollcalls", "events.events.k8s.io"] {
        told.push_str(&site.kubectl(&["get", kinds, "--output=yaml"])?);
    }
    told.push_str(&site.kubectl(&["logs", "--selector=app.kubernetes.io/part-of=rollcall", "--tail=-1"])?);
    for password in [KAFKA_PASSWORD, REDIS_PASSWORD] {
        assert!(!told.contains(password), "{password} is told:\n{told}");
    }
    Ok(())
}

const KAFKA_PASSWORD: &str = "the-word-for-kafka";
const REDIS_PASSWORD: &str = "the-word-for-redis";
const KAFKA: &str = r#"brokers: ["kafka:9096"], tls: {caRef: {kind: ConfigMap, name: authority, key: ca.crt}}, sasl: {mechanism: SCRAM-SHA-512, username: rollcall, passwordSecretRef: {name: kafka-login, key: password}}"#;
const REDIS: &str = r#"url: "redis://redis:6379", credentialsSecretRef: {name: redis-login, usernameKey: user, passwordKey: password}"#;
const THE_TESTS_OWN: [&str; 5] = [
    "configmap/authority",
    "rolebinding/reader",
    "role/reader",
    "serviceaccount/reader",
    "serviceaccount/stranger",
];
