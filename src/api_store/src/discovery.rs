//! Discovery: which groups, versions and resources are served, in both formats.
//!
//! Not known here: paths and headers; the HTTP skin asks for a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::resource::{ResourceType, Types};

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Content type of the aggregated format.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn by_group(types: &Types) -> BTreeMap<(&str, &str), Vec<&Arc<ResourceType>>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Arc<ResourceType>>> = BTreeMap::new();
    for of in types.values() {
        groups.entry((&of.id.group, &of.version)).or_default().push(of);
    }
    groups
}

/// `/api`.
pub fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`.
pub fn groups(types: &Types) -> Value {
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, version) in by_group(types).into_keys().filter(|(group, _)| !group.is_empty()) {
        named.entry(group).or_default().push(version);
    }
    let all: Vec<Value> =
        named.into_iter().map(|(name, versions)| group(name, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

fn group(name: &str, versions: &[&str]) -> Value {
    let list: Vec<Value> = versions
        .iter()
        .map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
        .collect();
    json!({"name": name, "preferredVersion": list.first(), "versions": list})
}

/// `/apis/<group>`; None when the group is not served.
pub fn one_group(types: &Types, name: &str) -> Option<Value> {
    let all = groups(types);
    let found = all["groups"].as_array()?.iter().find(|one| one["name"] == name)?;
    let mut found = found.clone();
    found["kind"] = "APIGroup".into();
    found["apiVersion"] = "v1".into();
    Some(found)
}

/// `/api/v1` and `/apis/<group>/<version>`; None when nothing is served there.
pub fn resources(types: &Types, group: &str, version: &str) -> Option<Value> {
    let groups = by_group(types);
    let list = groups.get(&(group, version))?;
    let all: Vec<Value> = list.iter().flat_map(|of| rows(of)).collect();
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": all}))
}

fn rows(of: &ResourceType) -> Vec<Value> {
    let mut whole = json!({"name": of.id.plural, "singularName": of.singular,
        "namespaced": of.namespaced, "kind": of.kind, "verbs": VERBS});
    if !of.short_names.is_empty() {
        whole["shortNames"] = of.short_names.clone().into();
    }
    if !of.categories.is_empty() {
        whole["categories"] = of.categories.clone().into();
    }
    let mut rows = vec![whole];
    for (name, kind, group, version, verbs) in subresources(of) {
        let mut row = json!({"name": format!("{}/{name}", of.id.plural), "singularName": "",
            "namespaced": of.namespaced, "kind": kind, "verbs": verbs});
        if !group.is_empty() {
            row["group"] = group.into();
            row["version"] = version.into();
        }
        rows.push(row);
    }
    rows
}

type Subresource<'a> = (&'static str, &'a str, &'static str, &'static str, &'static [&'static str]);

fn subresources(of: &ResourceType) -> Vec<Subresource<'_>> {
    const WRITE: &[&str] = &["get", "patch", "update"];
    let mut out: Vec<Subresource<'_>> = Vec::new();
    if of.status {
        out.push(("status", &of.kind, "", "", WRITE));
    }
    if of.scale.is_some() {
        out.push(("scale", "Scale", "autoscaling", "v1", WRITE));
    }
    if of.kind == "Pod" {
        out.push(("log", "Pod", "", "", &["get"]));
    }
    out
}

/// `/api` or `/apis` in the aggregated format.
pub fn aggregated(types: &Types, core: bool) -> Value {
    let mut named: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for ((group, version), list) in by_group(types) {
        if group.is_empty() == core {
            let resources: Vec<Value> = list.iter().map(|of| aggregated_row(of)).collect();
            named
                .entry(group)
                .or_default()
                .push(json!({"version": version, "freshness": "Current", "resources": resources}));
        }
    }
    let all: Vec<Value> = named
        .into_iter()
        .map(|(name, versions)| json!({"metadata": {"name": name}, "versions": versions}))
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": all})
}

fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn aggregated_row(of: &ResourceType) -> Value {
    let mut row = json!({
        "resource": of.id.plural, "singularResource": of.singular,
        "responseKind": gvk(&of.id.group, &of.version, &of.kind),
        "scope": if of.namespaced { "Namespaced" } else { "Cluster" }, "verbs": VERBS,
    });
    if !of.short_names.is_empty() {
        row["shortNames"] = of.short_names.clone().into();
    }
    if !of.categories.is_empty() {
        row["categories"] = of.categories.clone().into();
    }
    let below: Vec<Value> = subresources(of)
        .into_iter()
        .map(|(name, response, group, version, verbs)| {
            let response = match group {
                "" => gvk(&of.id.group, &of.version, response),
                _ => gvk(group, version, response),
            };
            json!({"subresource": name, "responseKind": response, "verbs": verbs})
        })
        .collect();
    if !below.is_empty() {
        row["subresources"] = below.into();
    }
    row
}
