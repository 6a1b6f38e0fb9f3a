//! Who owns which field, and server-side apply.
//!
//! Each write records in `metadata.managedFields` which fields it set. An apply merges the given
//! configuration into the live object; a field that it would *change* and that another manager
//! owns is a conflict, unless forced. Fields that the same manager applied before and gives no
//! longer are removed when nobody else owns them. An update takes what it changes from others,
//! as Kubernetes does.
//!
//! Not covered: `managedFields` given by a client (a reset by `[{}]` included), and versions:
//! there is one per type. Not known here: storage and schemas.

use serde_json::{Map, Value, json};

use crate::failure::{Failure, Ownership};
use crate::fields::{Element, FieldSet, difference, element_of, join, print_path};
use crate::lists::{ListKind, is_atomic_map, list_kind};
use crate::object::{self, text};
use crate::resource::ResourceType;

/// Who writes, through which door, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// Empty, `status` or `scale`.
    pub subresource: &'a str,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn read(value: &Value) -> Self {
        Self {
            manager: text(value, &["manager"]).to_owned(),
            operation: text(value, &["operation"]).to_owned(),
            api_version: text(value, &["apiVersion"]).to_owned(),
            subresource: text(value, &["subresource"]).to_owned(),
            time: text(value, &["time"]).to_owned(),
            fields: value.get("fieldsV1").map(FieldSet::from_json).unwrap_or_default(),
        }
    }

    fn write(&self) -> Value {
        let mut out = json!({
            "manager": self.manager, "operation": self.operation, "apiVersion": self.api_version,
            "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": self.fields.to_json(),
        });
        if !self.subresource.is_empty() {
            out["subresource"] = self.subresource.clone().into();
        }
        out
    }

    fn is(&self, writer: &Writer<'_>, operation: &str) -> bool {
        self.manager == writer.manager
            && self.operation == operation
            && self.subresource == writer.subresource
    }

    fn printed(&self) -> String {
        let mut out = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == "Update" {
            out.push_str(&format!(" using {} at {}", self.api_version, self.time));
        }
        out
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    object::items(object, &["metadata", "managedFields"]).iter().map(Entry::read).collect()
}

fn store_entries(object: &mut Value, mut all: Vec<Entry>) {
    all.retain(|entry| !entry.fields.is_empty());
    all.sort_by(|a, b| {
        (&a.operation, &a.time, &a.manager, &a.subresource).cmp(&(
            &b.operation,
            &b.time,
            &b.manager,
            &b.subresource,
        ))
    });
    if all.is_empty() {
        object::remove(object, &["metadata", "managedFields"]);
    } else {
        let written: Vec<Value> = all.iter().map(Entry::write).collect();
        object::set(object, &["metadata", "managedFields"], written.into());
    }
}

/// The object without what nobody owns: identity and what the server itself writes.
fn ownable(object: &Value) -> Value {
    let mut out = object.clone();
    for field in ["apiVersion", "kind"] {
        object::remove(&mut out, &[field]);
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    ] {
        object::remove(&mut out, &["metadata", field]);
    }
    let bare =
        object::at(&out, &["metadata"]).and_then(Value::as_object).is_some_and(Map::is_empty);
    if bare {
        object::remove(&mut out, &["metadata"]);
    }
    out
}

/// Records an update: what `new` changes against `old` now belongs to the writer.
/// `old` is null for a new object.
pub fn record_update(old: &Value, new: &mut Value, of: &ResourceType, writer: &Writer<'_>) {
    let changes = difference(&ownable_or_empty(old), &ownable(new), of, &[]);
    let mut all = entries(old);
    if !changes.is_empty() {
        take(&mut all, of, writer, "Update", |mine| {
            mine.absorb(&changes.changed);
        });
        for entry in &mut all {
            entry.fields = entry.fields.difference(&changes.removed);
            if !entry.is(writer, "Update") {
                entry.fields = entry.fields.difference(&changes.changed);
            }
        }
    }
    store_entries(new, all);
}

fn ownable_or_empty(object: &Value) -> Value {
    if object.is_null() { json!({}) } else { ownable(object) }
}

/// Finds or makes the writer's entry, changes its fields, and stamps the time.
fn take(
    all: &mut Vec<Entry>,
    of: &ResourceType,
    writer: &Writer<'_>,
    operation: &str,
    change: impl FnOnce(&mut FieldSet),
) {
    let position = all.iter().position(|entry| entry.is(writer, operation));
    let mut entry = match position {
        Some(at) => all.swap_remove(at),
        None => Entry {
            manager: writer.manager.to_owned(),
            operation: operation.to_owned(),
            api_version: String::new(),
            subresource: writer.subresource.to_owned(),
            time: String::new(),
            fields: FieldSet::default(),
        },
    };
    change(&mut entry.fields);
    entry.api_version = of.api_version();
    entry.time = object::rfc3339(writer.now_ms);
    all.push(entry);
}

/// Merges `config` into `live` (null when the object is new) and returns the result.
/// `complete` fills in defaults; it runs before the comparison, so that a default is no change.
pub fn apply(
    live: &Value,
    config: &Value,
    of: &ResourceType,
    writer: &Writer<'_>,
    force: bool,
    complete: &dyn Fn(&mut Value),
) -> Result<Value, Failure> {
    if object::at(config, &["metadata", "managedFields"]).is_some_and(|m| !m.is_null()) {
        return Err(Failure::BadRequest("metadata.managedFields must be nil".into()));
    }
    let mut all = entries(live);
    let applied = FieldSet::of(&ownable(config), of, &[]);
    let mut merged = live.clone();
    merge(&mut merged, config, of, &[]);
    complete(&mut merged);
    let changed = difference(&ownable_or_empty(live), &ownable(&merged), of, &[])
        .changed
        .intersection(&applied);
    resolve(&mut all, &changed, writer, force)?;

    let previous = all.iter().find(|entry| entry.is(writer, "Apply"));
    let previous_fields = previous.map(|entry| entry.fields.clone()).unwrap_or_default();
    let mut others = FieldSet::default();
    for entry in all.iter().filter(|entry| !entry.is(writer, "Apply")) {
        others.absorb(&entry.fields);
    }
    let abandoned = previous_fields.difference(&applied);
    prune(&mut merged, &abandoned, &others.union(&applied), of, &[]);
    complete(&mut merged);

    // The time moves only when something else does, so that an equal apply is no write at all.
    let as_before = ownable_or_empty(live) == ownable(&merged);
    let same_fields = previous_fields == applied;
    if !(as_before && same_fields) {
        take(&mut all, of, writer, "Apply", |mine| *mine = applied);
    }
    store_entries(&mut merged, all);
    Ok(merged)
}

/// Refuses to change what others own, or takes it from them by force.
fn resolve(
    all: &mut [Entry],
    changed: &FieldSet,
    writer: &Writer<'_>,
    force: bool,
) -> Result<(), Failure> {
    let mut disputes = Vec::new();
    for entry in all.iter_mut().filter(|entry| !entry.is(writer, "Apply")) {
        let disputed = entry.fields.intersection(changed);
        if force {
            entry.fields = entry.fields.difference(&disputed);
        } else {
            disputes.extend(
                disputed
                    .paths()
                    .iter()
                    .map(|path| Ownership { manager: entry.printed(), field: print_path(path) }),
            );
        }
    }
    if disputes.is_empty() { Ok(()) } else { Err(Failure::ApplyConflict(disputes)) }
}

/// Merges by the lists' rules: maps key by key, keyed lists item by item, all else replaced.
fn merge(live: &mut Value, config: &Value, of: &ResourceType, path: &[&str]) {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !is_atomic_map(of, path) => {
            for (key, wanted) in config {
                let slot = live.entry(key.clone()).or_insert(Value::Null);
                merge(slot, wanted, of, &join(path, key));
            }
        }
        (Value::Array(live), Value::Array(config)) if list_kind(of, path) != ListKind::Atomic => {
            let kind = list_kind(of, path);
            for wanted in config {
                let element = element_of(wanted, &kind);
                match live.iter_mut().find(|item| element_of(item, &kind) == element) {
                    Some(item) if matches!(element, Element::Key(_)) => {
                        merge(item, wanted, of, path);
                    }
                    Some(_) => {}
                    None => live.push(wanted.clone()),
                }
            }
        }
        (live, config) => *live = config.clone(),
    }
}

/// Removes abandoned fields that nobody keeps; a map that is empty thereafter goes, too.
fn prune(
    value: &mut Value,
    abandoned: &FieldSet,
    kept: &FieldSet,
    of: &ResourceType,
    path: &[&str],
) {
    let nobody = FieldSet::default();
    match value {
        Value::Object(map) => {
            for (element, below) in &abandoned.children {
                let Element::Field(key) = element else { continue };
                let kept_below = kept.children.get(element).unwrap_or(&nobody);
                let Some(child) = map.get_mut(key) else { continue };
                let had_content = !is_blank(child);
                prune(child, below, kept_below, of, &join(path, key));
                let emptied = had_content && is_blank(child);
                if kept_below.is_empty() && (below.member || emptied) {
                    map.remove(key);
                }
            }
        }
        Value::Array(list) => {
            let kind = list_kind(of, path);
            list.retain_mut(|item| {
                let element = element_of(item, &kind);
                let Some(below) = abandoned.children.get(&element) else { return true };
                let kept_below = kept.children.get(&element).unwrap_or(&nobody);
                if below.member && kept_below.is_empty() {
                    return false;
                }
                prune(item, below, kept_below, of, path);
                true
            });
        }
        _ => {}
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
