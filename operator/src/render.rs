//! From the resource to the file that a worker reads.
//!
//! Owns where secrets lie in a pod and how they are named there, and the rule for the revision. It never sees a secret's value,
//! and never decides whether the file is right: `insights::spec` reads it.

use serde_json::{Map, Value, json};

use crate::resource::{FileKind, FileRef, RollcallSpec, SecretKeyRef};

/// Where the configuration and the secrets are in a pod.
pub const DIRECTORY: &str = "/etc/rollcall";

/// The file's name, and its key in the `ConfigMap`.
pub const FILE: &str = "rollcall.yaml";

/// A file that a Secret or a `ConfigMap` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is, below [`DIRECTORY`].
    pub path: String,
    /// What holds it.
    pub kind: FileKind,
    /// The object's name.
    pub name: String,
    /// The key within.
    pub key: String,
}

impl Mounted {
    /// Where it is in a pod.
    pub fn absolute(&self) -> String {
        format!("{DIRECTORY}/{}", self.path)
    }
}

/// The configuration but for its revision, and the files that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Everything below the revision's line.
    settings: String,
    /// Files beside it.
    pub files: Vec<Mounted>,
}

impl Rendered {
    /// Renders a resource's specification.
    pub fn of(spec: &RollcallSpec, pipeline: &str) -> Self {
        let mut files = Files::default();
        let mut root = plain(spec);
        root.insert("pipeline".to_owned(), pipeline.into());
        let kafka = section(&mut root, "kafka");
        if let Some(tls) = &spec.kafka.tls {
            let mut shown = json!({"hostnameVerification": tls.hostname_verification});
            let refs = [
                ("ca", tls.ca_ref.clone()),
                ("certificate", tls.certificate_secret_ref.as_ref().map(of_secret)),
                ("key", tls.key_secret_ref.as_ref().map(of_secret)),
            ];
            for (key, reference) in refs {
                if let (Some(reference), Some(shown)) = (reference, shown.as_object_mut()) {
                    shown.insert(key.to_owned(), files.add(&format!("kafka-{key}"), &reference).into());
                }
            }
            kafka.insert("tls".to_owned(), shown);
        }
        if let Some(sasl) = &spec.kafka.sasl {
            let password = files.content("kafka-password", &of_secret(&sasl.password_secret_ref));
            section(kafka, "sasl").insert("password".to_owned(), password.into());
        }
        let redis = section(&mut root, "redis");
        if let Some(credentials) = &spec.redis.credentials_secret_ref {
            let reference = |key: &str| FileRef {
                kind: FileKind::Secret,
                name: credentials.name.clone(),
                key: key.to_owned(),
            };
            if let Some(key) = &credentials.username_key {
                let username = files.content("redis-username", &reference(key));
                redis.insert("username".to_owned(), username.into());
            }
            let password = files.content("redis-password", &reference(&credentials.password_key));
            redis.insert("password".to_owned(), password.into());
        }
        let keys =
            [("output", &spec.output.hash_key_secret_ref), ("insights", &spec.insights.hash_key_secret_ref)];
        for (name, reference) in keys {
            if let Some(reference) = reference {
                let key = files.content(&format!("{name}-hash-key"), &of_secret(reference));
                section(&mut root, name).insert("hashKey".to_owned(), key.into());
            }
        }
        Self { settings: crate::yaml::print(&Value::Object(root)), files: files.0 }
    }

    /// The whole file.
    pub fn text(&self, revision: i64) -> String {
        format!("revision: {revision}\n{}", self.settings)
    }

    /// The revision of this configuration. What is stored keeps its own as long as nothing changes: a new generation alone (of
    /// `replicas`, say) must not restart the workers. `published`: what the workers themselves have seen.
    pub fn revision(&self, stored: Option<&str>, generation: i64, published: Option<i64>) -> i64 {
        let published = published.unwrap_or(0);
        let Some((stored, settings)) = stored.and_then(split) else {
            return generation.max(published + 1).max(1);
        };
        // A resource of this name was there before, and is not known here: its revision would win over this one.
        if settings == self.settings && published <= stored {
            return stored;
        }
        generation.max(stored + 1).max(published + 1)
    }
}

/// The revision of a file, and what is below its line.
pub fn split(text: &str) -> Option<(i64, &str)> {
    let (first, settings) = text.split_once('\n')?;
    Some((first.strip_prefix("revision: ")?.parse().ok()?, settings))
}

/// The settings that need no secret, with every text escaped: nothing in a resource can name a variable or a file.
fn plain(spec: &RollcallSpec) -> Map<String, Value> {
    let Ok(Value::Object(mut root)) = serde_json::to_value(spec) else {
        return Map::new();
    };
    root.retain(|key, _| SECTIONS.contains(&key.as_str()));
    for (name, key) in REFERENCES {
        if let Some(Value::Object(section)) = root.get_mut(*name) {
            section.remove(*key);
        }
    }
    if let Some(sasl) = root.get_mut("kafka").and_then(|kafka| kafka.get_mut("sasl")) {
        sasl.as_object_mut().map(|sasl| sasl.remove("passwordSecretRef"));
    }
    root.values_mut().for_each(escape);
    root
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(fields) => fields.values_mut().for_each(escape),
        _ => {}
    }
}

fn section<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let entry = parent.entry(key).or_insert_with(|| json!({}));
    entry.as_object_mut().expect("sections are objects")
}

fn of_secret(reference: &SecretKeyRef) -> FileRef {
    FileRef { kind: FileKind::Secret, name: reference.name.clone(), key: reference.key.clone() }
}

#[derive(Default)]
struct Files(Vec<Mounted>);

impl Files {
    /// Mounts a file; returns its path in a pod.
    fn add(&mut self, name: &str, reference: &FileRef) -> String {
        let mounted = Mounted {
            path: format!("secrets/{name}"),
            kind: reference.kind,
            name: reference.name.clone(),
            key: reference.key.clone(),
        };
        let path = mounted.absolute();
        self.0.push(mounted);
        path
    }

    /// Mounts a file; returns what stands for its content.
    fn content(&mut self, name: &str, reference: &FileRef) -> String {
        format!("${{file:{}}}", self.add(name, reference))
    }
}

/// The parts of a resource that are the configuration file.
pub const SECTIONS: &[&str] = &["kafka", "redis", "source", "filter", "output", "deadLetter", "insights"];

/// What stands in a resource in place of a secret.
const REFERENCES: &[(&str, &str)] = &[
    ("kafka", "tls"),
    ("redis", "credentialsSecretRef"),
    ("output", "hashKeySecretRef"),
    ("insights", "hashKeySecretRef"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{full, minimal};

    #[test]
    fn the_smallest_resource_is_a_readable_file() {
        let rendered = Rendered::of(&minimal().spec, "analytics.user-login");
        let text = rendered.text(3);
        assert!(text.starts_with("revision: 3\ndeadLetter:\n  topic: \"user-login-dlq\"\n"), "{text}");
        assert!(text.contains("pipeline: \"analytics.user-login\"\n"), "{text}");
        assert_eq!(rendered.files, []);
        assert_eq!(split(&text), Some((3, text.split_once('\n').unwrap().1)));
    }

    #[test]
    fn secrets_are_references_and_all_other_texts_are_escaped() {
        let mut rollcall = full();
        rollcall.spec.output.key = "${HOME}${file:/etc/passwd}".to_owned();
        let rendered = Rendered::of(&rollcall.spec, "a.b");
        let text = rendered.text(1);
        assert!(text.contains(r#"key: "$${HOME}$${file:/etc/passwd}""#), "{text}");
        assert!(text.contains(r#"password: "${file:/etc/rollcall/secrets/kafka-password}""#), "{text}");
        assert!(text.contains(r#"ca: "/etc/rollcall/secrets/kafka-ca""#), "{text}");
        assert!(!text.contains("Ref"), "{text}");
        let paths: Vec<&str> = rendered.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "secrets/kafka-ca",
                "secrets/kafka-certificate",
                "secrets/kafka-key",
                "secrets/kafka-password",
                "secrets/redis-username",
                "secrets/redis-password",
                "secrets/output-hash-key",
                "secrets/insights-hash-key"
            ]
        );
    }

    #[test]
    fn the_revision_rises_with_the_text_and_only_with_it() {
        let rendered = Rendered::of(&minimal().spec, "a.b");
        let mut other = minimal();
        other.spec.insights.max_values = 5;
        let other = Rendered::of(&other.spec, "a.b");
        // The first one.
        assert_eq!(rendered.revision(None, 1, None), 1);
        assert_eq!(rendered.revision(None, 4, None), 4);
        // The same text under a newer generation, as an autoscaler makes them.
        assert_eq!(rendered.revision(Some(&rendered.text(4)), 9, None), 4);
        assert_eq!(rendered.revision(Some(&rendered.text(4)), 9, Some(4)), 4);
        // Another text.
        assert_eq!(other.revision(Some(&rendered.text(4)), 9, Some(4)), 9);
        // The resource was deleted and made anew: its generation began again.
        assert_eq!(other.revision(Some(&rendered.text(4)), 1, None), 5);
        assert_eq!(rendered.revision(None, 1, Some(7)), 8);
        assert_eq!(rendered.revision(Some(&rendered.text(1)), 1, Some(7)), 8);
        // Something else stands in the object.
        assert_eq!(rendered.revision(Some("x"), 2, None), 2);
    }
}
