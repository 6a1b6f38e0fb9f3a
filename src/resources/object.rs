//! One rendered object, ready to be applied.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
