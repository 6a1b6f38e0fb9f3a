//! The pod of a node, as its StatefulSet's template.
//!
//! It satisfies the `restricted` Pod Security Standard. Its revision is a hash over everything
//! that only a new process picks up, the configuration's text included; pods of an older
//! revision are replaced by the planner, one at a time.

use holdfast_wire::id::ClusterId;
use serde_json::{Value, json};

use super::object::hash;
use super::{
    ADMIN_PORT, BUS_PORT, CLIENT_PORT, CONTROL_PORT, SecretPurpose, common_labels, config_map,
    selector_labels, service, service_account, stateful_set, with_shard,
};
use crate::api::{LABEL_REVISION, PullPolicy};
use crate::validate::ValidatedCluster;

/// How long a pod that is deleted has to hand over and end, before the kubelet kills it.
pub const GRACE_SECONDS: u64 = 60;

/// The user of the node's process, as in its image.
const USER: u32 = 65532;

/// What every pod of this cluster shall be made from: 16 hexadecimal digits.
pub fn revision(cluster: &ValidatedCluster, cluster_id: ClusterId) -> String {
    hash(&json!([spec(cluster, None), config_map::configuration(cluster, cluster_id)]))
}

pub(super) fn template(cluster: &ValidatedCluster, cluster_id: ClusterId, shard: u16) -> Value {
    let mut labels = with_shard(common_labels(cluster), shard);
    labels.insert(LABEL_REVISION, revision(cluster, cluster_id));
    json!({"metadata": {"labels": labels}, "spec": spec(cluster, Some(shard))})
}

fn spec(cluster: &ValidatedCluster, shard: Option<u16>) -> Value {
    let pull_secrets: Vec<Value> =
        cluster.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    let mut spec = json!({
        "serviceAccountName": service_account::name(&cluster.name),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(cluster)],
        "volumes": volumes(cluster),
    });
    let Some(fields) = spec.as_object_mut() else { return spec };
    if !pull_secrets.is_empty() {
        fields.insert("imagePullSecrets".to_owned(), json!(pull_secrets));
    }
    if !cluster.node_selector.is_empty() {
        fields.insert("nodeSelector".to_owned(), json!(cluster.node_selector));
    }
    if !cluster.tolerations.is_empty() {
        fields.insert("tolerations".to_owned(), json!(cluster.tolerations));
    }
    if let Some(shard) = shard {
        fields.insert("affinity".to_owned(), apart_within_shard(cluster, shard));
        fields.insert("topologySpreadConstraints".to_owned(), spread_over_machines(cluster));
    }
    spec
}

/// A shard's pods on different machines where there is a choice: a machine that dies then takes
/// one copy.
fn apart_within_shard(cluster: &ValidatedCluster, shard: u16) -> Value {
    let selector = json!({"matchLabels": with_shard(selector_labels(cluster), shard)});
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"},
    }]}})
}

/// The cluster's pods evenly over machines: no machine holds most of the primaries.
fn spread_over_machines(cluster: &ValidatedCluster) -> Value {
    json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector_labels(cluster)},
    }])
}

fn container(cluster: &ValidatedCluster) -> Value {
    let hostname = format!(
        "$(POD_NAME).{}.$(POD_NAMESPACE).svc.cluster.local",
        service::nodes_name(&cluster.name)
    );
    json!({
        "name": "node",
        "image": cluster.image,
        "imagePullPolicy": match cluster.pull_policy {
            PullPolicy::Always => "Always",
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Never => "Never",
        },
        "args": [
            format!("/etc/holdfast/{}", config_map::KEY),
            "--cluster-announce-hostname", hostname,
            "--cluster-announce-ip", "$(POD_IP)",
            "--holdfast-pod-uid", "$(POD_UID)",
        ],
        "env": [
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
            from_field("POD_IP", "status.podIP"),
            from_field("POD_UID", "metadata.uid"),
        ],
        "ports": [
            {"name": "client", "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": "bus", "containerPort": BUS_PORT, "protocol": "TCP"},
            {"name": "control", "containerPort": CONTROL_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        // A node that loads its data is left alone for a day; /livez and /readyz count from then.
        "startupProbe": probe("/startupz", 1, 86_400, 5),
        "livenessProbe": probe("/livez", 10, 6, 5),
        "readinessProbe": probe("/readyz", 2, 2, 2),
        "resources": {"requests": cluster.requests, "limits": cluster.limits},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/holdfast", "readOnly": true},
            {"name": "default-user", "mountPath": "/etc/holdfast-secrets/default-user", "readOnly": true},
            {"name": "internal", "mountPath": "/etc/holdfast-secrets/internal", "readOnly": true},
            {"name": stateful_set::VOLUME, "mountPath": "/data"},
        ],
    })
}

fn from_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
}

fn probe(path: &str, period_s: u32, failures: u32, timeout_s: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": "metrics", "scheme": "HTTP"},
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "timeoutSeconds": timeout_s,
    })
}

fn volumes(cluster: &ValidatedCluster) -> Value {
    let secret = |name: &str, purpose: SecretPurpose| {
        json!({"name": name, "secret": {
            "secretName": purpose.secret_name(&cluster.name),
            "defaultMode": 0o440,
        }})
    };
    let mut volumes = vec![
        json!({"name": "config", "configMap": {"name": config_map::name(&cluster.name)}}),
        secret("default-user", SecretPurpose::DefaultUser),
        secret("internal", SecretPurpose::Internal),
    ];
    if cluster.storage.is_none() {
        volumes.push(json!({"name": stateful_set::VOLUME, "emptyDir": {}}));
    }
    json!(volumes)
}
