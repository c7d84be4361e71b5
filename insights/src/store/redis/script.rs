//! The scripts by which a change happens whole or not at all: their arguments and their answers.
//!
//! Owns the wire form of each call. It never connects, and repeats a script only when the server says that it does not know it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ::redis::aio::ConnectionLike;
use ::redis::{ErrorKind, RedisResult, ServerErrorKind, Value};

use super::TOKEN_FIELD;
use super::keys::Keys;
use crate::state::{PartName, Scope, Wanted, WantedParts};
use crate::store::{Error, Flush, FlushOutcome, Loaded, Parts, PublicValue, Publication, PublishOutcome};

/// One call of a script.
pub(super) struct Call<'a> {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<Argument<'a>>,
}

/// Blobs are borrowed: they are the bulk of a call.
enum Argument<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

struct Script {
    text: &'static str,
    hash: String,
}

impl Call<'_> {
    /// Runs it. A server that does not know the script has not begun, so that it can be sent the text.
    pub(super) async fn run(&self, connection: &mut impl ConnectionLike) -> RedisResult<Value> {
        let by_hash = self.command("EVALSHA", &self.script.hash).query_async(connection).await;
        match by_hash {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command("EVAL", self.script.text).query_async(connection).await
            }
            other => other,
        }
    }

    fn command(&self, name: &str, script: &str) -> ::redis::Cmd {
        let mut command = ::redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys);
        for argument in &self.arguments {
            match argument {
                Argument::Bytes(bytes) => command.arg(bytes),
                Argument::Number(number) => command.arg(number),
            };
        }
        command
    }
}

/// Reads parts.
pub(super) fn load<'a>(keys: &Keys, partition: i32, expected: &'a str, wanted: &'a [Wanted]) -> Call<'a> {
    let mut call = Call { script: &LOAD, keys: vec![keys.head(partition)], arguments: vec![expected.into()] };
    for wish in wanted {
        call.keys.push(keys.scope(partition, wish.scope));
        let (which, name) = match &wish.parts {
            WantedParts::All => ("all", ""),
            WantedParts::Only(name) => ("only", name.as_str()),
        };
        call.arguments.extend([which.into(), name.into()]);
    }
    call
}

/// The answer to [`load`].
pub(super) fn read_load(answer: Value, wanted: &[Wanted], place: &str) -> Result<Loaded, Error> {
    let (word, mut rest) = split(answer, place)?;
    match word.as_str() {
        "parts" => {
            let mut loaded: BTreeMap<Scope, Parts> = BTreeMap::new();
            for (wish, found) in wanted.iter().zip(rest) {
                let parts: Parts = ::redis::from_redis_value(found).map_err(|_| nonsense(place))?;
                loaded.entry(wish.scope).or_default().extend(parts);
            }
            Ok(Loaded::Parts(loaded))
        }
        "moved" => Ok(Loaded::Moved(next(&mut rest, place)?)),
        word => Err(refusal(word, rest, place)),
    }
}

/// Writes one step of a partition.
pub(super) fn flush<'a>(keys: &Keys, flush: &'a Flush) -> Call<'a> {
    let mut changes: BTreeMap<Scope, Change<'a>> = BTreeMap::new();
    for (scope, name) in &flush.deletes {
        changes.entry(*scope).or_default().deletes.push(name);
    }
    for (scope, name, blob) in &flush.puts {
        changes.entry(*scope).or_default().puts.push((name, blob));
    }
    let mut call = Call { script: &FLUSH, keys: vec![keys.head(flush.partition)], arguments: Vec::new() };
    call.arguments.extend([
        Argument::Number(u64::from(flush.expected.is_some())),
        flush.expected.as_deref().unwrap_or_default().into(),
        flush.token.as_str().into(),
        count(flush.drops.len()),
    ]);
    call.keys.extend(flush.drops.iter().map(|scope| keys.scope(flush.partition, *scope)));
    for (scope, change) in changes {
        call.keys.push(keys.scope(flush.partition, scope));
        call.arguments.push(count(change.deletes.len()));
        call.arguments.extend(change.deletes.into_iter().map(|name| name.as_str().into()));
        call.arguments.push(count(2 * change.puts.len()));
        for (name, blob) in change.puts {
            call.arguments.extend([name.as_str().into(), Argument::Bytes(blob)]);
        }
    }
    for (name, blob) in &flush.head {
        call.arguments.extend([name.as_str().into(), Argument::Bytes(blob)]);
    }
    call.arguments.extend([TOKEN_FIELD.into(), flush.token.as_str().into()]);
    call
}

/// What happens to the parts of one scope.
#[derive(Default)]
struct Change<'a> {
    deletes: Vec<&'a PartName>,
    puts: Vec<(&'a PartName, &'a [u8])>,
}

/// The answer to [`flush`].
pub(super) fn read_flush(answer: Value, place: &str) -> Result<FlushOutcome, Error> {
    let (word, mut rest) = split(answer, place)?;
    match word.as_str() {
        "applied" => Ok(FlushOutcome::Applied),
        "conflict" => Ok(FlushOutcome::Conflict(next(&mut rest, place)?)),
        word => Err(refusal(word, rest, place)),
    }
}

/// Replaces the public keys.
pub(super) fn publish<'a>(keys: &Keys, publication: &'a Publication) -> Call<'a> {
    let mut call =
        Call { script: &PUBLISH, keys: vec![keys.document(), keys.workers()], arguments: Vec::new() };
    call.arguments.extend([
        Argument::Number(u64::from(publication.expected_tail.is_some())),
        publication.expected_tail.as_deref().unwrap_or_default().into(),
        publication.document.as_str().into(),
        count(publication.removed_workers.len()),
    ]);
    call.arguments.extend(publication.removed_workers.iter().map(|worker| worker.as_str().into()));
    call.arguments.push(count(publication.removed.len()));
    call.keys.extend(publication.removed.iter().map(|name| keys.public(name)));
    for (name, value) in &publication.keys {
        call.keys.push(keys.public(name));
        match value {
            PublicValue::SortedSet(members) => {
                call.arguments.extend(["ZADD".into(), count(2 * members.len())]);
                for (member, score) in members {
                    call.arguments.extend([Argument::Number(*score), member.as_str().into()]);
                }
            }
            PublicValue::Hash(fields) => {
                call.arguments.extend(["HSET".into(), count(2 * fields.len())]);
                for (field, number) in fields {
                    call.arguments.extend([field.as_str().into(), Argument::Number(*number)]);
                }
            }
        }
    }
    call
}

/// The answer to [`publish`].
pub(super) fn read_publish(answer: Value, place: &str) -> Result<PublishOutcome, Error> {
    let (word, rest) = split(answer, place)?;
    match word.as_str() {
        "applied" => Ok(PublishOutcome::Applied),
        "conflict" => Ok(PublishOutcome::Conflict),
        word => Err(refusal(word, rest, place)),
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: ::redis::Script::new(text).get_hash().to_owned() }
    }
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

fn count(length: usize) -> Argument<'static> {
    Argument::Number(u64::try_from(length).expect("a length has at most 64 bits"))
}

/// The first word of an answer, and what follows.
fn split(answer: Value, place: &str) -> Result<(String, std::vec::IntoIter<Value>), Error> {
    let Value::Array(values) = answer else {
        return Err(nonsense(place));
    };
    let mut rest = values.into_iter();
    Ok((next(&mut rest, place)?, rest))
}

fn next<T: ::redis::FromRedisValue>(rest: &mut std::vec::IntoIter<Value>, place: &str) -> Result<T, Error> {
    let value = rest.next().unwrap_or(Value::Nil);
    ::redis::from_redis_value(value).map_err(|_| nonsense(place))
}

/// The error that a script found before it wrote anything.
fn refusal(word: &str, rest: std::vec::IntoIter<Value>, place: &str) -> Error {
    let texts: Result<Vec<String>, _> = rest.map(::redis::from_redis_value).collect();
    match (word, texts.unwrap_or_default().as_slice()) {
        ("wrong-type", [key, found]) => {
            Error::WrongType { place: place.to_owned(), key: key.clone(), found: found.clone() }
        }
        ("forbidden", [command]) => Error::Forbidden { place: place.to_owned(), command: command.clone() },
        _ => nonsense(place),
    }
}

fn nonsense(place: &str) -> Error {
    Error::Nonsense { place: place.to_owned(), command: "EVALSHA" }
}

static LOAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("load.lua")));

static FLUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("flush.lua")));

static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("publish.lua")));
