//! Two Services: names for the nodes, and an address for clients.

use serde_json::json;

use super::{
    ADMIN_PORT, BUS_PORT, CLIENT_PORT, CONTROL_PORT, Kind, Object, common_labels, metadata,
    selector_labels,
};
use crate::validate::ValidatedCluster;

/// Name of the headless Service, the domain of the nodes' names.
pub(super) fn nodes_name(cluster: &str) -> String {
    format!("{cluster}-nodes")
}

/// A name for each pod. A node is looked for by its name before it is ready, since it becomes
/// ready only after it has been found.
pub(super) fn nodes(cluster: &ValidatedCluster) -> Object {
    let name = nodes_name(&cluster.name);
    let manifest = json!({
        "metadata": metadata(cluster, &name, &common_labels(cluster)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": selector_labels(cluster),
            "ports": [
                {"name": "client", "port": CLIENT_PORT, "targetPort": "client", "protocol": "TCP"},
                {"name": "bus", "port": BUS_PORT, "targetPort": "bus", "protocol": "TCP"},
                {"name": "control", "port": CONTROL_PORT, "targetPort": "control", "protocol": "TCP"},
                {"name": "metrics", "port": ADMIN_PORT, "targetPort": "metrics", "protocol": "TCP"},
            ],
        },
    });
    Object::new(Kind::Service, name, manifest)
}

/// One address to begin with: any ready node tells a client about all others.
pub(super) fn clients(cluster: &ValidatedCluster) -> Object {
    let manifest = json!({
        "metadata": metadata(cluster, &cluster.name, &common_labels(cluster)),
        "spec": {
            "type": "ClusterIP",
            "selector": selector_labels(cluster),
            "ports": [
                {"name": "client", "port": CLIENT_PORT, "targetPort": "client", "protocol": "TCP"},
            ],
        },
    });
    Object::new(Kind::Service, cluster.name.clone(), manifest)
}
