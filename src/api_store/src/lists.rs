//! Which lists are merged item by item, and by which keys.
//!
//! For a custom type the schema says so (`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`,
//! `x-kubernetes-map-type: atomic`). For built-in types this table stands in for Kubernetes'
//! annotated schemas: the lists of pods, services, metadata and conditions. Every other list is
//! atomic: the last writer owns it whole. Not known here: values.

use serde_json::Value;

use crate::resource::ResourceType;

/// How a list is merged and owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items identified by these fields.
    Map(Vec<String>),
}

/// (field, owner of the list or "" for any, keys for apply, key for strategic merge)
type Row = (&'static str, &'static str, &'static [&'static str], &'static str);

const BUILTIN: &[Row] = &[
    ("containers", "", &["name"], "name"),
    ("initContainers", "", &["name"], "name"),
    ("ephemeralContainers", "", &["name"], "name"),
    ("env", "", &["name"], "name"),
    ("ports", "containers", &["containerPort", "protocol"], "containerPort"),
    ("ports", "initContainers", &["containerPort", "protocol"], "containerPort"),
    ("ports", "spec", &["port", "protocol"], "port"),
    ("volumes", "", &["name"], "name"),
    ("volumeMounts", "", &["mountPath"], "mountPath"),
    ("volumeDevices", "", &["devicePath"], "devicePath"),
    ("imagePullSecrets", "", &["name"], "name"),
    ("secrets", "", &["name"], "name"),
    ("topologySpreadConstraints", "", &["topologyKey", "whenUnsatisfiable"], "topologyKey"),
    ("hostAliases", "", &["ip"], "ip"),
    ("schedulingGates", "", &["name"], "name"),
    ("conditions", "status", &["type"], "type"),
    ("addresses", "status", &["type"], "type"),
    ("podIPs", "status", &["ip"], "ip"),
    ("hostIPs", "status", &["ip"], "ip"),
    ("ownerReferences", "metadata", &["uid"], "uid"),
];

/// The kind of the list at `path` (map keys from the root; items of lists add nothing).
pub fn list_kind(of: &ResourceType, path: &[&str]) -> ListKind {
    if path == ["metadata", "finalizers"] {
        return ListKind::Set;
    }
    if of.custom && path.first() != Some(&"metadata") {
        return schema_at(of, path).map_or(ListKind::Atomic, list_kind_of_schema);
    }
    match row(of, path) {
        Some((_, _, keys, _)) => ListKind::Map(keys.iter().map(|&k| k.to_owned()).collect()),
        None => ListKind::Atomic,
    }
}

/// The merge key that strategic merge patch uses for the list at `path`.
pub fn strategic_key(of: &ResourceType, path: &[&str]) -> Option<&'static str> {
    row(of, path).map(|(_, _, _, key)| *key)
}

/// True for maps that are owned and replaced as a whole.
pub fn is_atomic_map(of: &ResourceType, path: &[&str]) -> bool {
    if of.custom {
        let schema = schema_at(of, path);
        return schema.and_then(|s| s.get("x-kubernetes-map-type")).is_some_and(|t| t == "atomic");
    }
    let name = path.last().copied().unwrap_or("");
    name.ends_with("elector") || name.ends_with("KeyRef") || name.ends_with("fieldRef")
}

/// The value that a missing merge key stands for.
pub fn default_of_key(key: &str) -> Option<Value> {
    (key == "protocol").then(|| Value::from("TCP"))
}

fn row(of: &ResourceType, path: &[&str]) -> Option<&'static Row> {
    let (last, parents) = path.split_last()?;
    let owner = parents.last().copied().unwrap_or("");
    // `spec.ports` is a list of service ports only in a Service.
    if *last == "ports" && owner == "spec" && of.kind != "Service" {
        return None;
    }
    BUILTIN.iter().find(|(field, of_owner, _, _)| {
        field == last && (of_owner.is_empty() || *of_owner == owner)
    })
}

/// The schema of the field at `path`, through maps and lists.
pub fn schema_at<'a>(of: &'a ResourceType, path: &[&str]) -> Option<&'a Value> {
    let mut here: &Value = of.schema.as_deref()?;
    for key in path {
        while let Some(items) = here.get("items") {
            here = items;
        }
        here = here
            .get("properties")
            .and_then(|properties| properties.get(key))
            .or_else(|| here.get("additionalProperties").filter(|more| more.is_object()))?;
    }
    Some(here)
}

fn list_kind_of_schema(schema: &Value) -> ListKind {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = crate::object::items(schema, &["x-kubernetes-list-map-keys"]);
            ListKind::Map(keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => ListKind::Atomic,
    }
}

/// The key fields of an item, with defaults filled in; None when the item has none of them.
pub fn item_key(item: &Value, keys: &[String]) -> Option<Value> {
    let mut key = serde_json::Map::new();
    let mut present = false;
    for field in keys {
        match item.get(field) {
            Some(value) => {
                present = true;
                key.insert(field.clone(), value.clone());
            }
            None => {
                if let Some(value) = default_of_key(field) {
                    key.insert(field.clone(), value);
                }
            }
        }
    }
    present.then_some(Value::Object(key))
}
