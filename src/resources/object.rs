//! One rendered object, ready to be applied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::ANNOTATION_APPLIED;
use crate::validate::fnv64;

/// The kinds that the operator renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `v1` ServiceAccount.
    ServiceAccount,
    /// `v1` Secret.
    Secret,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Service.
    Service,
    /// `policy/v1` PodDisruptionBudget.
    PodDisruptionBudget,
    /// `apps/v1` StatefulSet.
    StatefulSet,
}

impl Kind {
    /// `apiVersion` of the kind.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ServiceAccount | Self::Secret | Self::ConfigMap | Self::Service => "v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::StatefulSet => "apps/v1",
        }
    }

    /// `kind` as Kubernetes names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// The plural in a path of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccounts",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::Service => "services",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::StatefulSet => "statefulsets",
        }
    }
}

/// One rendered object: the whole manifest, with namespace, owner, labels and hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Hash over the manifest; also in its annotation `holdfast.dev/applied`.
    pub hash: String,
    /// The manifest for server-side apply.
    pub manifest: Value,
}

/// What a Secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum SecretPurpose {
    /// `<name>-default-user`, key `password`: what clients log in with.
    DefaultUser,
    /// `<name>-internal`, key `control-password`: what the operator logs in with.
    Internal,
}

impl SecretPurpose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DefaultUser, Self::Internal];

    /// The Secret's name for a cluster of this name.
    pub fn secret_name(self, cluster: &str) -> String {
        match self {
            Self::DefaultUser => format!("{cluster}-default-user"),
            Self::Internal => format!("{cluster}-internal"),
        }
    }

    /// The key that holds the password.
    pub fn key(self) -> &'static str {
        match self {
            Self::DefaultUser => "password",
            Self::Internal => "control-password",
        }
    }
}

impl Object {
    /// Completes a manifest: kind, version and the annotation with the hash.
    pub(super) fn new(kind: Kind, name: String, mut manifest: Value) -> Self {
        if let Some(fields) = manifest.as_object_mut() {
            fields.insert("apiVersion".to_owned(), kind.api_version().into());
            fields.insert("kind".to_owned(), kind.as_str().into());
        }
        let hash = hash(&manifest);
        if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
            let annotations = serde_json::json!({ ANNOTATION_APPLIED: hash });
            metadata.insert("annotations".to_owned(), annotations);
        }
        Self { kind, name, hash, manifest }
    }
}

/// Hash of a value, the same whatever the order of its keys: 16 hexadecimal digits.
pub(super) fn hash(value: &Value) -> String {
    let mut text = String::new();
    write_sorted(value, &mut text);
    format!("{:016x}", fnv64(text.as_bytes()))
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (key, field) in sorted {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(field, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

/// True when everything in `wish` stands in `live` too: what others have added does not matter,
/// what they have changed does.
pub fn is_within(wish: &Value, live: &Value) -> bool {
    match (wish, live) {
        (Value::Object(wish), Value::Object(live)) => {
            wish.iter().all(|(key, wish)| live.get(key).is_some_and(|live| is_within(wish, live)))
        }
        (Value::Array(wish), Value::Array(live)) => {
            wish.len() == live.len()
                && wish.iter().zip(live).all(|(wish, live)| is_within(wish, live))
        }
        (wish, live) => wish == live,
    }
}
