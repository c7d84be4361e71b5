//! The pipeline specification: the YAML file that a worker reads, and the heart of the custom resource's `spec`.
//!
//! Owns the settings, their defaults and what may change between revisions. It never opens a connection or a file, and
//! never compiles the filter: `record` does that.
//!
//! The way of a file: `tree` parses it, `substitute` fills in `${…}`, `settings` decodes it with the help of `section`,
//! `validate` checks what one value alone cannot tell. The way back is `encode`'s tree, printed by `text` and `yaml`.

mod duration;
mod encode;
mod error;
mod filter;
mod identity;
mod model;
mod names;
mod properties;
pub mod redis_url;
mod scalar;
mod section;
mod settings;
mod substitute;
mod suggest;
mod text;
mod tree;
mod validate;
mod yaml;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

pub use self::duration::{format_duration, parse_duration};
pub use self::error::{Errors, Mistake};
pub use self::identity::{Difference, Identity};
pub use self::model::{
    DeadLetter, Dimension, Fields, Fold, Insights, Kafka, Operator, Output, OutputKey, PipelineSpec, Redis,
    Requirement, Sasl, Source, StartFrom, TimestampUnit, Tls,
};
pub use self::redis_url::RedisUrl;
pub use self::text::StoredError;

use self::error::Mistakes;
use self::tree::Node;

/// What flags and environment variables set instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `kafka.brokers`.
    pub brokers: Option<Vec<String>>,
    /// `redis.url`; may hold a password.
    pub redis: Option<SecretString>,
    /// `pipeline`.
    pub pipeline: Option<String>,
}

/// Where `${NAME}` and `${file:PATH}` come from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The value of an environment variable; none when it is not set.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a file.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// Reads a configuration file's text.
///
/// Errors: one for a text that is not YAML; otherwise all mistakes at once.
pub fn read(text: &str, overrides: &Overrides, sources: &Sources<'_>) -> Result<PipelineSpec, Errors> {
    let mistakes = Mistakes::default();
    let mut root = tree::parse(text, &mistakes)?;
    overrides.put_into(&mut root);
    substitute::substitute(&mut root, sources, &mistakes);
    let spec = settings::decode(&root, sources, &mistakes);
    validate::validate(&spec, &mistakes);
    mistakes.into_result(spec)
}

impl Overrides {
    /// Replaces the file's settings, before anything looks at them: what they held is of no interest any more.
    fn put_into(&self, root: &mut Node) {
        if let Some(brokers) = &self.brokers {
            let list = brokers.iter().map(Node::given).collect();
            root.put(&["kafka", "brokers"], Node::sequence(list));
        }
        if let Some(url) = &self.redis {
            // The whole section: a user and a password beside another URL are not its.
            root.put(&["redis"], Node::mapping(vec![("url", Node::given(url.expose_secret()))]));
        }
        if let Some(pipeline) = &self.pipeline {
            root.put(&["pipeline"], Node::given(pipeline));
        }
    }
}
