//! A pipeline's place in a Redis: one server, a master behind sentinels, or a cluster.
//!
//! Owns the layout and the scripts that make each change atomic. It never repeats a change whose answer was lost, and never
//! touches a key that is not the pipeline's.

mod address;
mod connection;
mod keys;
mod scan;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ::redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use ::redis::{Cmd, FromRedisValue, RedisResult, Value};

pub use self::address::{Address, Kind};
use self::connection::{Connector, Link, Live};
use self::keys::Keys;
use super::{
    Error, Flush, FlushOutcome, FoundKey, Loaded, PublicValue, Publication, PublishOutcome, StoredHead,
    TAIL_LENGTH, Token,
};
use crate::state::Wanted;

/// A pipeline's place in a Redis. Clones share the connection.
#[derive(Clone)]
pub struct Store {
    connector: Arc<Connector>,
    keys: Keys,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn new(address: Address, pipeline: &str) -> Self {
        Self { connector: Arc::new(Connector::new(address)), keys: Keys::new(pipeline) }
    }

    pub(super) fn beside(&self, pipeline: &str) -> Self {
        Self { connector: Arc::clone(&self.connector), keys: Keys::new(pipeline) }
    }

    pub(super) fn generation(&self) -> u64 {
        self.connector.generation()
    }

    pub(super) async fn heads(&self, partitions: &[i32]) -> Result<Vec<Option<StoredHead>>, Error> {
        let keys: Vec<String> = partitions.iter().map(|partition| self.keys.head(*partition)).collect();
        let commands = keys.iter().map(|key| command("HGETALL", key)).collect();
        let answers: Vec<BTreeMap<String, Vec<u8>>> = self.ask_each("HGETALL", &keys, commands).await?;
        let mut heads = Vec::with_capacity(answers.len());
        for mut fields in answers {
            // A head without a token is none of ours: no flush leaves one.
            let token = fields.remove(TOKEN_FIELD).map(|token| String::from_utf8_lossy(&token).into_owned());
            heads.push(token.map(|token| StoredHead { token, fields }));
        }
        Ok(heads)
    }

    pub(super) async fn tokens(&self, partitions: &[i32]) -> Result<Vec<Option<Token>>, Error> {
        let keys: Vec<String> = partitions.iter().map(|partition| self.keys.head(*partition)).collect();
        let commands = keys.iter().map(|key| with_argument(command("HGET", key), TOKEN_FIELD)).collect();
        self.ask_each("HGET", &keys, commands).await
    }

    pub(super) async fn load(
        &self,
        partition: i32,
        expected: &str,
        wanted: &[Wanted],
    ) -> Result<Loaded, Error> {
        let live = self.connector.live().await?;
        let answer = script::load(&self.keys, partition, expected, wanted).run(&mut live.link.clone()).await;
        let answer = answer.map_err(|error| self.connector.judge(&live, "load", error))?;
        script::read_load(answer, wanted, &live.place)
    }

    pub(super) async fn flush(&self, flush: &Flush) -> Result<FlushOutcome, Error> {
        let live = self.connector.live().await?;
        let answer = script::flush(&self.keys, flush).run(&mut live.link.clone()).await;
        let answer = answer.map_err(|error| self.connector.judge(&live, "flush", error))?;
        script::read_flush(answer, &live.place)
    }

    pub(super) async fn publish(&self, publication: &Publication) -> Result<PublishOutcome, Error> {
        let live = self.connector.live().await?;
        let answer = script::publish(&self.keys, publication).run(&mut live.link.clone()).await;
        let answer = answer.map_err(|error| self.connector.judge(&live, "publish", error))?;
        script::read_publish(answer, &live.place)
    }

    pub(super) async fn first_start(&self, proposal: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.keys.first_start();
        // `SET … NX GET` in one command needs Redis 7. Between the two nothing can remove what is there.
        let mut set = command("SET", &key);
        set.arg(proposal).arg("NX");
        let _set_or_kept: Value = self.ask("SET", &key, set).await?;
        self.ask("GET", &key, command("GET", &key)).await
    }

    pub(super) async fn public_value(&self, name: &str) -> Result<Option<PublicValue>, Error> {
        let key = self.keys.public(name);
        let kind: String = self.ask("TYPE", &key, command("TYPE", &key)).await?;
        match kind.as_str() {
            "zset" => {
                let mut range = command("ZRANGE", &key);
                range.arg(0).arg(-1).arg("WITHSCORES");
                Ok(Some(PublicValue::SortedSet(self.ask("ZRANGE", &key, range).await?)))
            }
            "hash" => Ok(Some(PublicValue::Hash(self.ask("HGETALL", &key, command("HGETALL", &key)).await?))),
            _ => Ok(None),
        }
    }

    pub(super) async fn keys(&self) -> Result<BTreeSet<FoundKey>, Error> {
        let live = self.connector.live().await?;
        let names = scan::all(live.link.clone(), &self.keys.pattern()).await;
        let names = names.map_err(|error| self.connector.judge(&live, "SCAN", error))?;
        Ok(names.iter().filter_map(|name| self.keys.recognise(&String::from_utf8_lossy(name))).collect())
    }

    pub(super) async fn published(&self) -> Result<Option<String>, Error> {
        let key = self.keys.document();
        let stored: Option<Vec<u8>> = self.ask("GET", &key, command("GET", &key)).await?;
        Ok(stored.map(|bytes| text_at_end(&bytes)))
    }

    pub(super) async fn published_tail(&self) -> Result<Option<String>, Error> {
        let key = self.keys.document();
        let mut range = command("GETRANGE", &key);
        range.arg(-isize::try_from(TAIL_LENGTH).expect("it is small")).arg(-1);
        let end: Vec<u8> = self.ask("GETRANGE", &key, range).await?;
        Ok((!end.is_empty()).then(|| text_at_end(&end)))
    }

    pub(super) async fn report(&self, worker: &str, json: &str) -> Result<(), Error> {
        let key = self.keys.workers();
        let mut set = command("HSET", &key);
        set.arg(worker).arg(json);
        self.ask("HSET", &key, set).await
    }

    pub(super) async fn remove_report(&self, worker: &str) -> Result<(), Error> {
        let key = self.keys.workers();
        self.ask("HDEL", &key, with_argument(command("HDEL", &key), worker)).await
    }

    pub(super) async fn reports(&self) -> Result<BTreeMap<String, String>, Error> {
        let key = self.keys.workers();
        let reports: BTreeMap<Vec<u8>, Vec<u8>> = self.ask("HGETALL", &key, command("HGETALL", &key)).await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(reports.into_iter().map(|(worker, json)| (text(worker), text(json))).collect())
    }

    pub(super) async fn check_server(&self) -> Result<(), Error> {
        let live = self.connector.live().await?;
        let answer =
            server_memory(&live).await.map_err(|error| self.connector.judge(&live, "INFO", error))?;
        for (place, memory) in answer {
            let policy =
                memory.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::trim);
            match policy {
                Some(policy) if policy == "noeviction" || policy.starts_with("volatile-") => {}
                Some(policy) => {
                    return Err(Error::Evicts { place, policy: policy.to_owned() });
                }
                None => {
                    return Err(Error::Nonsense { place, command: "INFO" });
                }
            }
        }
        Ok(())
    }

    async fn ask<T: FromRedisValue>(&self, name: &'static str, key: &str, command: Cmd) -> Result<T, Error> {
        let live = self.connector.live().await?;
        let answer = command.query_async(&mut live.link.clone()).await;
        answer.map_err(|error| self.judge(&live, name, key, error))
    }

    /// One answer per key; all commands go in one round trip where there is one server.
    async fn ask_each<T: FromRedisValue>(
        &self,
        name: &'static str,
        keys: &[String],
        commands: Vec<Cmd>,
    ) -> Result<Vec<T>, Error> {
        let live = self.connector.live().await?;
        let answers = match live.link.clone() {
            Link::Node(mut node) if !commands.is_empty() => {
                let mut pipeline = ::redis::pipe();
                for command in commands {
                    pipeline.add_command(command);
                }
                pipeline.ignore_errors();
                let answers: RedisResult<Vec<RedisResult<Value>>> = pipeline.query_async(&mut node).await;
                answers.map_err(|error| self.connector.judge(&live, name, error))?
            }
            // The partitions of a cluster are in different slots.
            mut link => {
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    answers.push(command.query_async(&mut link).await);
                }
                answers
            }
        };
        let mut read = Vec::with_capacity(keys.len());
        for (key, answer) in keys.iter().zip(answers) {
            let value = answer.and_then(|value| Ok(::redis::from_redis_value(value)?));
            read.push(value.map_err(|error| self.judge(&live, name, key, error))?);
        }
        Ok(read)
    }

    fn judge(&self, live: &Live, name: &'static str, key: &str, error: ::redis::RedisError) -> Error {
        if error.code() == Some("WRONGTYPE") {
            return Error::WrongType {
                place: live.place.clone(),
                key: key.to_owned(),
                found: "value of another type".to_owned(),
            };
        }
        self.connector.judge(live, name, error)
    }
}

/// What each master says about its memory.
async fn server_memory(live: &Live) -> RedisResult<Vec<(String, String)>> {
    let question = with_argument(::redis::cmd("INFO"), "memory");
    match live.link.clone() {
        Link::Node(mut node) => Ok(vec![(live.place.clone(), question.query_async(&mut node).await?)]),
        Link::Cluster(mut cluster) => {
            let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            let answer = cluster.route_command(question, masters).await?;
            let by_place: BTreeMap<String, String> = ::redis::from_redis_value(answer)?;
            Ok(by_place.into_iter().collect())
        }
    }
}

/// The longest end of the bytes that is text: all of a document of ours. What somebody else wrote there keeps an end by which
/// a publication can tell that it is still the same.
fn text_at_end(bytes: &[u8]) -> String {
    let mut start = 0;
    for chunk in bytes.utf8_chunks() {
        if !chunk.invalid().is_empty() {
            start += chunk.valid().len() + chunk.invalid().len();
        }
    }
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
}

fn command(name: &str, key: &str) -> Cmd {
    with_argument(::redis::cmd(name), key)
}

fn with_argument(mut command: Cmd, argument: &str) -> Cmd {
    command.arg(argument);
    command
}

const TOKEN_FIELD: &str = "token";
