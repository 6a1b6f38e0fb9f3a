//! Tables: what `kubectl get` prints, rendered by the server.
//!
//! Built-in kinds have their columns here, custom ones bring theirs. The age of an object is
//! computed against the time of the request. Not known here: widths and headings on a terminal.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::jsonpath;
use crate::object::{self, integer, items, text};
use crate::resource::{Column, ResourceType};

/// How much of each object a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Metadata: the default.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

type Cell = fn(&Value, i64) -> Value;

struct BuiltinColumn {
    name: &'static str,
    kind: &'static str,
    priority: i64,
    cell: Cell,
}

const fn column(
    name: &'static str,
    kind: &'static str,
    priority: i64,
    cell: Cell,
) -> BuiltinColumn {
    BuiltinColumn { name, kind, priority, cell }
}

/// A table of objects. `with_columns` is false for all but the first event of a watch.
pub fn render(
    of: &ResourceType,
    objects: &[Arc<Value>],
    now_ms: i64,
    include: IncludeObject,
    with_columns: bool,
) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(of, object, now_ms, include)).collect();
    let columns = if with_columns { definitions(of) } else { Vec::new() };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": columns, "rows": rows,
    })
}

fn definitions(of: &ResourceType) -> Vec<Value> {
    let define = |name: &str, kind: &str, format: &str, text: &str, priority: i64| {
        json!({"name": name, "type": kind, "format": format, "description": text,
            "priority": priority})
    };
    let mut out = vec![define("Name", "string", "name", "Name of the object.", 0)];
    if of.custom {
        out.extend(
            of.columns.iter().map(|c| define(&c.name, &c.kind, "", &c.description, c.priority)),
        );
        if of.columns.is_empty() {
            out.push(define("Age", "date", "", "Time since its creation.", 0));
        }
    } else {
        let columns = builtin(&of.kind);
        out.extend(columns.iter().map(|c| define(c.name, c.kind, "", "", c.priority)));
    }
    out
}

fn row(of: &ResourceType, object: &Arc<Value>, now_ms: i64, include: IncludeObject) -> Value {
    let mut cells = vec![Value::from(object::name(object))];
    if of.custom {
        cells.extend(of.columns.iter().map(|column| custom_cell(object, column, now_ms)));
        if of.columns.is_empty() {
            cells.push(age(object, now_ms));
        }
    } else {
        cells.extend(builtin(&of.kind).iter().map(|column| (column.cell)(object, now_ms)));
    }
    let shown = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => (**object).clone(),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object.get("metadata"),
        }),
    };
    json!({"cells": cells, "object": shown})
}

fn custom_cell(object: &Value, column: &Column, now_ms: i64) -> Value {
    let Some(value) = jsonpath::first(object, &column.json_path) else { return Value::Null };
    match (column.kind.as_str(), value) {
        ("date", Value::String(at)) => since(at, now_ms),
        ("string", Value::String(_)) | ("integer" | "number" | "boolean", _) => value.clone(),
        ("string", other) => other.to_string().into(),
        _ => Value::Null,
    }
}

fn age(object: &Value, now_ms: i64) -> Value {
    since(text(object, &["metadata", "creationTimestamp"]), now_ms)
}

fn since(at: &str, now_ms: i64) -> Value {
    object::parse_rfc3339(at).map_or("<unknown>".into(), |then| human(now_ms - then).into())
}

/// A duration as kubectl prints it: two units at most, fewer the longer it is.
pub fn human(ms: i64) -> String {
    let seconds = (ms / 1000).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

const AGE: BuiltinColumn = column("Age", "string", 0, age);

fn builtin(kind: &str) -> &'static [BuiltinColumn] {
    match kind {
        "Pod" => POD,
        "Service" => SERVICE,
        "StatefulSet" => STATEFUL_SET,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "PersistentVolumeClaim" => CLAIM,
        "Event" => EVENT,
        "Node" => NODE,
        "Namespace" => NAMESPACE,
        "Lease" => LEASE,
        "PodDisruptionBudget" => BUDGET,
        "CustomResourceDefinition" => DEFINITION,
        _ => PLAIN,
    }
}

const PLAIN: &[BuiltinColumn] = &[AGE];

const POD: &[BuiltinColumn] = &[
    column("Ready", "string", 0, |pod, _| {
        let total = items(pod, &["spec", "containers"]).len();
        let statuses = items(pod, &["status", "containerStatuses"]);
        let ready = statuses.iter().filter(|s| s.get("ready") == Some(&Value::Bool(true))).count();
        format!("{ready}/{total}").into()
    }),
    column("Status", "string", 0, |pod, _| pod_status(pod).into()),
    column("Restarts", "string", 0, |pod, now| {
        let statuses = items(pod, &["status", "containerStatuses"]);
        let count: i64 = statuses.iter().filter_map(|s| integer(s, &["restartCount"])).sum();
        let last = statuses
            .iter()
            .map(|s| text(s, &["lastState", "terminated", "finishedAt"]))
            .filter(|at| !at.is_empty())
            .max();
        match last.and_then(object::parse_rfc3339) {
            Some(then) if count > 0 => format!("{count} ({} ago)", human(now - then)).into(),
            _ => count.to_string().into(),
        }
    }),
    AGE,
    column("IP", "string", 1, |pod, _| or_none(text(pod, &["status", "podIP"]))),
    column("Node", "string", 1, |pod, _| or_none(text(pod, &["spec", "nodeName"]))),
];

fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

fn pod_status(pod: &Value) -> &str {
    if object::is_terminating(pod) {
        return "Terminating";
    }
    let of_container = items(pod, &["status", "containerStatuses"]).iter().find_map(|status| {
        let waiting = text(status, &["state", "waiting", "reason"]);
        let ended = text(status, &["state", "terminated", "reason"]);
        [waiting, ended].into_iter().find(|reason| !reason.is_empty())
    });
    of_container.unwrap_or_else(|| text(pod, &["status", "phase"]))
}

const SERVICE: &[BuiltinColumn] = &[
    column("Type", "string", 0, |s, _| text(s, &["spec", "type"]).into()),
    column("Cluster-IP", "string", 0, |s, _| or_none(text(s, &["spec", "clusterIP"]))),
    column("External-IP", "string", 0, |_, _| "<none>".into()),
    column("Port(s)", "string", 0, |s, _| {
        let port = |p: &Value| {
            format!("{}/{}", integer(p, &["port"]).unwrap_or(0), text(p, &["protocol"]))
        };
        let ports: Vec<String> = items(s, &["spec", "ports"]).iter().map(port).collect();
        or_none(&ports.join(","))
    }),
    AGE,
];

const STATEFUL_SET: &[BuiltinColumn] = &[
    column("Ready", "string", 0, |set, _| {
        let ready = integer(set, &["status", "readyReplicas"]).unwrap_or(0);
        let wanted = integer(set, &["spec", "replicas"]).unwrap_or(1);
        format!("{ready}/{wanted}").into()
    }),
    AGE,
    column("Images", "string", 1, |set, _| {
        let containers = items(set, &["spec", "template", "spec", "containers"]);
        let images: Vec<&str> = containers.iter().map(|c| text(c, &["image"])).collect();
        images.join(",").into()
    }),
];

fn map_size(object: &Value, field: &str) -> usize {
    object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

const CONFIG_MAP: &[BuiltinColumn] = &[
    column("Data", "integer", 0, |c, _| (map_size(c, "data") + map_size(c, "binaryData")).into()),
    AGE,
];

const SECRET: &[BuiltinColumn] = &[
    column("Type", "string", 0, |s, _| text(s, &["type"]).into()),
    column("Data", "integer", 0, |s, _| map_size(s, "data").into()),
    AGE,
];

const CLAIM: &[BuiltinColumn] = &[
    column("Status", "string", 0, |c, _| {
        if object::is_terminating(c) {
            "Terminating".into()
        } else {
            text(c, &["status", "phase"]).into()
        }
    }),
    column("Volume", "string", 0, |c, _| text(c, &["spec", "volumeName"]).into()),
    column("Capacity", "string", 0, |c, _| text(c, &["status", "capacity", "storage"]).into()),
    column("Access Modes", "string", 0, |c, _| {
        let modes = items(c, &["spec", "accessModes"]).iter().filter_map(Value::as_str);
        let short = modes.map(|mode| mode.replace("ReadWrite", "RW").replace("Once", "O"));
        short.collect::<Vec<_>>().join(",").into()
    }),
    column("StorageClass", "string", 0, |c, _| text(c, &["spec", "storageClassName"]).into()),
    AGE,
];

const EVENT: &[BuiltinColumn] = &[
    column("Last Seen", "string", 0, |e, now| {
        let seen = [
            text(e, &["series", "lastObservedTime"]),
            text(e, &["lastTimestamp"]),
            text(e, &["deprecatedLastTimestamp"]),
            text(e, &["eventTime"]),
            text(e, &["metadata", "creationTimestamp"]),
        ];
        since(seen.into_iter().find(|at| !at.is_empty()).unwrap_or(""), now)
    }),
    column("Type", "string", 0, |e, _| text(e, &["type"]).into()),
    column("Reason", "string", 0, |e, _| text(e, &["reason"]).into()),
    column("Object", "string", 0, |e, _| {
        let about = ["involvedObject", "regarding"];
        let about = about.iter().find_map(|field| e.get(field)).unwrap_or(&Value::Null);
        let kind = text(about, &["kind"]).to_lowercase();
        format!("{kind}/{}", text(about, &["name"])).into()
    }),
    column("Message", "string", 0, |e, _| {
        let texts = [text(e, &["message"]), text(e, &["note"])];
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or("").into()
    }),
];

const NODE: &[BuiltinColumn] = &[
    column("Status", "string", 0, |node, _| {
        let ready = items(node, &["status", "conditions"])
            .iter()
            .any(|c| text(c, &["type"]) == "Ready" && text(c, &["status"]) == "True");
        (if ready { "Ready" } else { "NotReady" }).into()
    }),
    column("Roles", "string", 0, |_, _| "<none>".into()),
    AGE,
    column("Version", "string", 0, |n, _| {
        text(n, &["status", "nodeInfo", "kubeletVersion"]).into()
    }),
];

const NAMESPACE: &[BuiltinColumn] =
    &[column("Status", "string", 0, |n, _| text(n, &["status", "phase"]).into()), AGE];

const LEASE: &[BuiltinColumn] =
    &[column("Holder", "string", 0, |l, _| text(l, &["spec", "holderIdentity"]).into()), AGE];

fn scalar_or_na(object: &Value, path: &[&str]) -> Value {
    match object::at(object, path) {
        Some(Value::String(text)) => text.clone().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => "N/A".into(),
    }
}

const BUDGET: &[BuiltinColumn] = &[
    column("Min Available", "string", 0, |b, _| scalar_or_na(b, &["spec", "minAvailable"])),
    column("Max Unavailable", "string", 0, |b, _| scalar_or_na(b, &["spec", "maxUnavailable"])),
    column("Allowed Disruptions", "integer", 0, |b, _| {
        integer(b, &["status", "disruptionsAllowed"]).unwrap_or(0).into()
    }),
    AGE,
];

const DEFINITION: &[BuiltinColumn] =
    &[column("Created At", "date", 0, |d, _| text(d, &["metadata", "creationTimestamp"]).into())];

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn ages_are_printed_as_kubectl_prints_them() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (125, "2m5s"),
            (601, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (47 * 3600, "47h"),
            (3 * 86_400, "3d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds * 1000), text);
        }
    }
}
