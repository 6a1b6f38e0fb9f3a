//! `holdfast.conf`: what all nodes of a cluster have in common.
//!
//! What differs from pod to pod (name, address, uid) comes as arguments of the container, and
//! secrets come from files, so this text may be read by anybody.

use std::fmt::Write as _;

use holdfast_wire::id::ClusterId;
use serde_json::json;

use super::{
    ADMIN_PORT, BUS_PORT, CLIENT_PORT, CONTROL_PORT, Kind, Object, common_labels, metadata,
};
use crate::api::{Fsync, PersistenceMode};
use crate::validate::ValidatedCluster;

/// Name of the ConfigMap.
pub(super) fn name(cluster: &str) -> String {
    format!("{cluster}-config")
}

/// Its key.
pub(super) const KEY: &str = "holdfast.conf";

pub(super) fn config_map(cluster: &ValidatedCluster, cluster_id: ClusterId) -> Object {
    let name = name(&cluster.name);
    let manifest = json!({
        "metadata": metadata(cluster, &name, &common_labels(cluster)),
        "data": { KEY: configuration(cluster, cluster_id) },
    });
    Object::new(Kind::ConfigMap, name, manifest)
}

/// The text of the configuration file.
pub fn configuration(cluster: &ValidatedCluster, cluster_id: ClusterId) -> String {
    let mut text = String::from("# Rendered by the holdfast operator; edits are undone.\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name} {value}");
    };
    line("port", &CLIENT_PORT.to_string());
    line("cluster-port", &BUS_PORT.to_string());
    line("control-port", &CONTROL_PORT.to_string());
    line("admin-port", &ADMIN_PORT.to_string());
    line("dir", "/data");
    line("log-format", "json");
    line("cluster-enabled", "yes");
    line("cluster-config-file", "nodes.conf");
    line("cluster-node-timeout", &cluster.node_timeout_ms.to_string());
    // The operator decides which pod is a replica of whom.
    line("cluster-allow-replica-migration", "no");
    // A shard that is down takes its own slots with it and no others.
    line("cluster-require-full-coverage", "no");
    line("holdfast-cluster-id", &cluster_id.to_string());
    line("requirepass-file", "/etc/holdfast-secrets/default-user/password");
    line("masterauth-file", "/etc/holdfast-secrets/default-user/password");
    line("control-password-file", "/etc/holdfast-secrets/internal/control-password");
    line("save", "\"\"");
    match cluster.persistence.mode {
        PersistenceMode::None => line("appendonly", "no"),
        PersistenceMode::Aof => {
            line("appendonly", "yes");
            line(
                "appendfsync",
                match cluster.persistence.fsync {
                    Fsync::Always => "always",
                    Fsync::Everysec => "everysec",
                    Fsync::Never => "no",
                },
            );
        }
    }
    if let Some(bytes) = cluster.max_memory_bytes {
        line("maxmemory", &bytes.to_string());
    }
    for (name, value) in &cluster.config {
        line(name, &format!("\"{value}\""));
    }
    text
}
