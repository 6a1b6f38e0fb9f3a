//! The Kubernetes objects that a cluster consists of, one kind a file; pure.
//!
//! Everything is rendered as the manifest of a server-side apply: only fields that the operator
//! wants to own. Rendering the same wish twice gives the same bytes, and the hash of those bytes
//! travels as an annotation, so that an object is applied only when its wish has changed.
//! Not known here: what exists already, and when an object is applied (`plan`).

mod config_map;
mod object;
mod pod;
mod pod_disruption_budget;
mod secret;
mod service;
mod service_account;
mod stateful_set;

pub use config_map::configuration;
pub use object::{Kind, Object, SecretPurpose, is_within};
pub use pod::{GRACE_SECONDS, revision};
pub use secret::secret;
pub use stateful_set::stateful_set;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_wire::id::ClusterId;
use serde_json::{Value, json};

use crate::api::{LABEL_CLUSTER, LABEL_SHARD};
use crate::validate::ValidatedCluster;

/// Version of these templates. A cluster remembers by which version its pods were made; a change
/// that would restart pods needs a new version beside the old one.
pub const TEMPLATE_VERSION: u32 = 1;

/// Port for clients.
pub const CLIENT_PORT: u16 = 6379;
/// Port of the cluster bus.
pub const BUS_PORT: u16 = 16379;
/// Port for the operator.
pub const CONTROL_PORT: u16 = 16380;
/// Port for probes and metrics.
pub const ADMIN_PORT: u16 = 9121;

/// Everything but Secrets and StatefulSets, in the order in which it shall be applied: identity,
/// network, configuration, budgets.
pub fn foundations(
    cluster: &ValidatedCluster,
    cluster_id: ClusterId,
    shards: &BTreeSet<u16>,
) -> Vec<Object> {
    let mut objects = vec![
        service_account::service_account(cluster),
        service::nodes(cluster),
        service::clients(cluster),
        config_map::config_map(cluster, cluster_id),
    ];
    if cluster.budgets {
        objects.extend(shards.iter().map(|shard| pod_disruption_budget::of_shard(cluster, *shard)));
    }
    objects
}

/// Name of a shard's StatefulSet and budget.
pub fn shard_name(cluster: &str, shard: u16) -> String {
    format!("{cluster}-{shard}")
}

/// Name of a pod.
pub fn pod_name(cluster: &str, shard: u16, ordinal: u16) -> String {
    format!("{cluster}-{shard}-{ordinal}")
}

/// Shard and ordinal of a pod of this cluster; `None` for any other name.
pub fn parse_pod_name(cluster: &str, pod: &str) -> Option<(u16, u16)> {
    let rest = pod.strip_prefix(cluster)?.strip_prefix('-')?;
    let (shard, ordinal) = rest.split_once('-')?;
    let number = |text: &str| text.parse().ok().filter(|number: &u16| number.to_string() == text);
    Some((number(shard)?, number(ordinal)?))
}

/// Labels of everything that belongs to a cluster.
fn common_labels(cluster: &ValidatedCluster) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name", "holdfast".to_owned()),
        ("app.kubernetes.io/instance", cluster.name.clone()),
        ("app.kubernetes.io/component", "node".to_owned()),
        ("app.kubernetes.io/managed-by", "holdfast".to_owned()),
        (LABEL_CLUSTER, cluster.name.clone()),
    ])
}

/// What tells this cluster's pods from all others; never changes, since a StatefulSet's selector
/// cannot.
fn selector_labels(cluster: &ValidatedCluster) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name", "holdfast".to_owned()),
        (LABEL_CLUSTER, cluster.name.clone()),
    ])
}

fn with_shard(
    mut labels: BTreeMap<&'static str, String>,
    shard: u16,
) -> BTreeMap<&'static str, String> {
    labels.insert(LABEL_SHARD, shard.to_string());
    labels
}

/// `metadata` with name, namespace, labels and the owner, which takes the object along when it
/// goes.
fn metadata(
    cluster: &ValidatedCluster,
    name: &str,
    labels: &BTreeMap<&'static str, String>,
) -> Value {
    json!({
        "name": name,
        "namespace": cluster.namespace,
        "labels": labels,
        "ownerReferences": [{
            "apiVersion": "holdfast.dev/v1alpha1",
            "kind": "RedisCluster",
            "name": cluster.name,
            "uid": cluster.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    })
}

#[cfg(test)]
mod tests;
