//! The table of resource types: what is served, under which names, with which rules.
//!
//! Built-in types are rows of [`builtin`]; a custom type is read from its
//! CustomResourceDefinition. Not known here: objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::object::{at, items, text};

/// Identifies a type: API group (empty for the core group) and plural.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural in the path, `pods`.
    pub plural: String,
}

impl TypeId {
    /// A type by group and plural.
    pub fn new(group: &str, plural: &str) -> Self {
        Self { group: group.to_owned(), plural: plural.to_owned() }
    }
}

/// The check of a rule: the new and, on update, the old value at the rule's path.
pub type Predicate = Arc<dyn Fn(&Value, Option<&Value>) -> bool + Send + Sync>;

/// A validation rule of a custom type: the predicate that a CEL expression states.
#[derive(Clone)]
pub struct Rule {
    /// Path of the field that the rule stands on, as map keys (`["spec"]`); empty for the root.
    pub path: Vec<String>,
    /// The field to blame, as the user reads it.
    pub field: String,
    /// What the user reads when it does not hold.
    pub message: String,
    /// True when the value is allowed. A transition rule answers true when there is no old value.
    pub holds: Predicate,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule")
            .field("path", &self.path)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// A printer column of `kubectl get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// JSON path of the cell, `.status.phase`.
    pub json_path: String,
    /// 0 is always shown, more only with `-o wide`.
    pub priority: i64,
    /// What the column means.
    pub description: String,
}

/// Where the scale subresource finds its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// The wish, `.spec.shards`.
    pub spec_replicas: String,
    /// The fact, `.status.shards`.
    pub status_replicas: String,
    /// The serialized label selector; empty when there is none.
    pub selector: String,
}

/// A served type.
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// Group and plural.
    pub id: TypeId,
    /// The one served version.
    pub version: String,
    /// Kind, `Pod`.
    pub kind: String,
    /// Singular, `pod`.
    pub singular: String,
    /// Short names, `po`.
    pub short_names: Vec<String>,
    /// Categories, `all`.
    pub categories: Vec<String>,
    /// False for cluster-scoped types.
    pub namespaced: bool,
    /// True when `status` is written only through its subresource.
    pub status: bool,
    /// True when `metadata.generation` counts changes of the wish.
    pub generation: bool,
    /// The scale subresource.
    pub scale: Option<ScalePaths>,
    /// OpenAPI v3 schema of the whole object.
    pub schema: Option<Arc<Value>>,
    /// True for custom types: the schema is enforced, prunes and sets defaults.
    pub custom: bool,
    /// Printer columns of a custom type; built-in ones are in `table.rs`.
    pub columns: Vec<Column>,
    /// Rules beyond the schema.
    pub rules: Vec<Rule>,
}

impl ResourceType {
    /// `v1` or `holdfast.dev/v1alpha1`.
    pub fn api_version(&self) -> String {
        if self.id.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.id.group, self.version)
        }
    }

    /// `pods` or `redisclusters.holdfast.dev`, as error texts name it.
    pub fn qualified_plural(&self) -> String {
        qualify(&self.id.plural, &self.id.group)
    }

    /// `Pod` or `RedisCluster.holdfast.dev`, as error texts name it.
    pub fn qualified_kind(&self) -> String {
        qualify(&self.kind, &self.id.group)
    }

    /// Reads a CustomResourceDefinition: its storage version is the one that is served.
    /// None when the definition names no kind, plural or served version.
    pub fn from_crd(crd: &Value, rules: Vec<Rule>) -> Option<Self> {
        let versions = items(crd, &["spec", "versions"]);
        let version = versions
            .iter()
            .find(|v| v.get("storage").and_then(Value::as_bool) == Some(true))
            .or_else(|| versions.first())?;
        let names = at(crd, &["spec", "names"])?;
        let kind = text(names, &["kind"]).to_owned();
        let plural = text(names, &["plural"]);
        if kind.is_empty() || plural.is_empty() {
            return None;
        }
        let singular = match text(names, &["singular"]) {
            "" => kind.to_lowercase(),
            given => given.to_owned(),
        };
        Some(Self {
            id: TypeId::new(text(crd, &["spec", "group"]), plural),
            version: text(version, &["name"]).to_owned(),
            kind,
            singular,
            short_names: strings(names, "shortNames"),
            categories: strings(names, "categories"),
            namespaced: text(crd, &["spec", "scope"]) != "Cluster",
            status: at(version, &["subresources", "status"]).is_some(),
            generation: true,
            scale: at(version, &["subresources", "scale"]).map(|scale| ScalePaths {
                spec_replicas: text(scale, &["specReplicasPath"]).to_owned(),
                status_replicas: text(scale, &["statusReplicasPath"]).to_owned(),
                selector: text(scale, &["labelSelectorPath"]).to_owned(),
            }),
            schema: at(version, &["schema", "openAPIV3Schema"]).cloned().map(Arc::new),
            custom: true,
            columns: items(version, &["additionalPrinterColumns"]).iter().map(column).collect(),
            rules,
        })
    }
}

fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

fn strings(object: &Value, key: &str) -> Vec<String> {
    items(object, &[key]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn column(value: &Value) -> Column {
    Column {
        name: text(value, &["name"]).to_owned(),
        kind: text(value, &["type"]).to_owned(),
        json_path: text(value, &["jsonPath"]).to_owned(),
        priority: value.get("priority").and_then(Value::as_i64).unwrap_or(0),
        description: text(value, &["description"]).to_owned(),
    }
}

/// The served types, by group and plural.
pub type Types = BTreeMap<TypeId, Arc<ResourceType>>;

/// (group, version, kind, plural, short names, namespaced, has status, counts generations)
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    bool,
    bool,
    bool,
);

const ROWS: &[Row] = &[
    ("", "v1", "Namespace", "namespaces", &["ns"], false, true, false),
    ("", "v1", "Node", "nodes", &["no"], false, true, false),
    ("", "v1", "Pod", "pods", &["po"], true, true, true),
    ("", "v1", "Service", "services", &["svc"], true, true, false),
    ("", "v1", "ConfigMap", "configmaps", &["cm"], true, false, false),
    ("", "v1", "Secret", "secrets", &[], true, false, false),
    ("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], true, false, false),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], true, true, false),
    ("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], false, true, false),
    ("", "v1", "Event", "events", &["ev"], true, false, false),
    ("", "v1", "Endpoints", "endpoints", &["ep"], true, false, false),
    ("events.k8s.io", "v1", "Event", "events", &["ev"], true, false, false),
    ("apps", "v1", "StatefulSet", "statefulsets", &["sts"], true, true, true),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", &[], true, false, false),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], true, true, true),
    ("coordination.k8s.io", "v1", "Lease", "leases", &[], true, false, false),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], true, false, true),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], false, false, false),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
        false,
        true,
        true,
    ),
];

/// The built-in types, without schemas.
pub fn builtin() -> Types {
    ROWS.iter().map(builtin_type).map(|t| (t.id.clone(), Arc::new(t))).collect()
}

fn builtin_type(row: &Row) -> ResourceType {
    let (group, version, kind, plural, short, namespaced, status, generation) = *row;
    let in_all = matches!(kind, "Pod" | "Service" | "StatefulSet");
    let scale = (kind == "StatefulSet").then(|| ScalePaths {
        spec_replicas: ".spec.replicas".into(),
        status_replicas: ".status.replicas".into(),
        selector: String::new(),
    });
    ResourceType {
        id: TypeId::new(group, plural),
        version: version.to_owned(),
        kind: kind.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short.iter().map(|&s| s.to_owned()).collect(),
        categories: if in_all { vec!["all".into()] } else { Vec::new() },
        namespaced,
        status,
        generation,
        scale,
        schema: None,
        custom: false,
        columns: Vec::new(),
        rules: Vec::new(),
    }
}
