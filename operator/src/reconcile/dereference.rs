//! The first step: reads everything that a reconcile rests on, each object by its name.
//!
//! Owns what is read. It never lists, and never decides what a missing object means for the workers.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Api, Client, ResourceExt as _};

use super::Error;
use super::apply::Namespaced;
use crate::build::{config_map_name, workers_name};
use crate::render::{FILE, Mounted};
use crate::resource::FileKind;

/// What is there now.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) config_map: Option<ConfigMap>,
    pub(super) deployment: Option<Deployment>,
    pub(super) budget: Option<PodDisruptionBudget>,
    pub(super) files: Files,
}

/// The files that the workers mount, as far as the operator may read them.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Contents by their path in a pod.
    pub(super) contents: BTreeMap<String, String>,
    /// Names and versions of the objects that hold them.
    pub(super) versions: BTreeSet<String>,
    /// What is not there.
    pub(super) missing: Vec<String>,
    /// What the operator may not read.
    pub(super) forbidden: Vec<String>,
}

impl Found {
    /// The configuration that the workers have now.
    pub(super) fn stored(&self) -> Option<&str> {
        self.config_map.as_ref()?.data.as_ref()?.get(FILE).map(String::as_str)
    }

    /// An object of one of our names that is not this resource's.
    pub(super) fn foreign(&self, uid: &str) -> Option<String> {
        let foreign =
            |kind: &str, metadata: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>| {
                let metadata = metadata?;
                let owners = metadata.owner_references.as_deref().unwrap_or_default();
                let is_ours = owners.iter().any(|owner| owner.uid == uid && owner.controller == Some(true));
                (!is_ours).then(|| format!("{kind} {}", metadata.name.as_deref().unwrap_or_default()))
            };
        foreign("ConfigMap", self.config_map.as_ref().map(|object| &object.metadata))
            .or_else(|| foreign("Deployment", self.deployment.as_ref().map(|object| &object.metadata)))
            .or_else(|| foreign("PodDisruptionBudget", self.budget.as_ref().map(|object| &object.metadata)))
    }
}

/// Reads the resource's own objects and the files that it names.
pub(super) async fn dereference(
    client: &Client,
    namespace: &str,
    name: &str,
    mounted: &[Mounted],
) -> Result<Found, Error> {
    let workers = workers_name(name);
    let config = config_map_name(name);
    let (config_map, deployment, budget, files) = tokio::try_join!(
        get(client, namespace, &config),
        get(client, namespace, &workers),
        get(client, namespace, &workers),
        files(client, namespace, mounted),
    )?;
    Ok(Found { config_map, deployment, budget, files })
}

async fn get<K: Namespaced>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, Error> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.get_opt(name).await.map_err(|source| Error::Read { kind: K::kind(&()).into_owned(), source })
}

async fn files(client: &Client, namespace: &str, mounted: &[Mounted]) -> Result<Files, Error> {
    let mut files = Files::default();
    let holders: BTreeSet<(bool, &str)> =
        mounted.iter().map(|file| (file.kind == FileKind::ConfigMap, file.name.as_str())).collect();
    for (is_config_map, name) in holders {
        let kind = if is_config_map { "ConfigMap" } else { "Secret" };
        let read = if is_config_map {
            get::<ConfigMap>(client, namespace, name).await.map(|found| found.map(of_config_map))
        } else {
            get::<Secret>(client, namespace, name).await.map(|found| found.map(of_secret))
        };
        let (version, data) = match read {
            Ok(Some(found)) => found,
            Ok(None) => {
                files.missing.push(format!("{kind} {name}"));
                continue;
            }
            Err(Error::Read { source: kube::Error::Api(status), .. }) if status.code == 403 => {
                files.forbidden.push(format!("{kind} {name}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        files.versions.insert(format!("{kind}/{name}={version}"));
        let its = |file: &&Mounted| file.name == name && (file.kind == FileKind::ConfigMap) == is_config_map;
        for file in mounted.iter().filter(its) {
            match data.get(&file.key) {
                Some(content) => {
                    files.contents.insert(file.absolute(), content.clone());
                }
                None => files.missing.push(format!("key {} of {kind} {name}", file.key)),
            }
        }
    }
    Ok(files)
}

type Held = (String, BTreeMap<String, String>);

fn of_config_map(found: ConfigMap) -> Held {
    (found.resource_version().unwrap_or_default(), found.data.unwrap_or_default())
}

fn of_secret(found: Secret) -> Held {
    let version = found.resource_version().unwrap_or_default();
    let data = found.data.unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (version, data.into_iter().map(|(key, value)| (key, text(value.0))).collect())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    use super::*;

    fn config_map(owner: Option<(&str, bool)>) -> Found {
        let owners = owner.map(|(uid, controller)| {
            vec![OwnerReference {
                uid: uid.to_owned(),
                controller: Some(controller),
                ..OwnerReference::default()
            }]
        });
        let metadata = ObjectMeta {
            name: Some("x-config".to_owned()),
            owner_references: owners,
            ..ObjectMeta::default()
        };
        Found { config_map: Some(ConfigMap { metadata, ..ConfigMap::default() }), ..Found::default() }
    }

    #[test]
    fn only_what_this_resource_controls_is_its_own() {
        assert_eq!(Found::default().foreign("me"), None);
        assert_eq!(config_map(Some(("me", true))).foreign("me"), None);
        for owner in [None, Some(("other", true)), Some(("me", false))] {
            assert_eq!(config_map(owner).foreign("me").as_deref(), Some("ConfigMap x-config"), "{owner:?}");
        }
    }
}
