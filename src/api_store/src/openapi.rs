//! OpenAPI: what `kubectl explain`, `apply` and `--validate` read.
//!
//! Version 3 has a document for each group and version with the types' schemas and the
//! operations' parameters, from which kubectl learns that the server validates fields itself.
//! Version 2 is one document with the same definitions. Types without a schema are described as
//! open objects. Not known here: transport formats.

use serde_json::{Map, Value, json};

use crate::resource::{ResourceType, Types};

/// `/openapi/v3`: where the documents are.
pub fn v3_index(types: &Types) -> Value {
    let mut paths = Map::new();
    for of in types.values() {
        let path = base(&of.id.group, &of.version);
        let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
        paths.insert(path, url);
    }
    json!({"paths": paths})
}

fn base(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// `/openapi/v3/api/v1` or `/openapi/v3/apis/<group>/<version>`.
pub fn v3(types: &Types, group: &str, version: &str) -> Option<Value> {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for of in types.values().filter(|of| of.id.group == group && of.version == version) {
        let name = definition_name(of);
        schemas.insert(name.clone(), definition(of));
        paths.insert(object_path(of), operations(of, &name));
    }
    (!schemas.is_empty()).then(|| {
        json!({"openapi": "3.0.0", "info": info(), "paths": paths,
            "components": {"schemas": schemas}})
    })
}

/// `/openapi/v2`.
pub fn v2(types: &Types) -> Value {
    let all: Map<String, Value> =
        types.values().map(|of| (definition_name(of), definition(of))).collect();
    json!({"swagger": "2.0", "info": info(), "paths": {}, "definitions": all})
}

fn info() -> Value {
    json!({"title": "Holdfast's embedded Kubernetes", "version": "v1"})
}

/// `io.k8s.api.core.v1.Pod` or `dev.holdfast.v1alpha1.RedisCluster`.
fn definition_name(of: &ResourceType) -> String {
    if of.custom {
        let reversed: Vec<&str> = of.id.group.rsplit('.').collect();
        return format!("{}.{}.{}", reversed.join("."), of.version, of.kind);
    }
    let group = of.id.group.split('.').next().filter(|g| !g.is_empty()).unwrap_or("core");
    format!("io.k8s.api.{group}.{}.{}", of.version, of.kind)
}

fn gvk(of: &ResourceType) -> Value {
    json!({"group": of.id.group, "version": of.version, "kind": of.kind})
}

fn definition(of: &ResourceType) -> Value {
    let mut schema =
        of.schema.as_deref().cloned().unwrap_or_else(
            || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        );
    if let Value::Object(map) = &mut schema {
        map.insert("x-kubernetes-group-version-kind".into(), json!([gvk(of)]));
    }
    schema
}

fn object_path(of: &ResourceType) -> String {
    let scope = if of.namespaced { "namespaces/{namespace}/" } else { "" };
    format!("/{}/{scope}{}/{{name}}", base(&of.id.group, &of.version), of.id.plural)
}

fn operations(of: &ResourceType, definition: &str) -> Value {
    let text = json!({"type": "string", "uniqueItems": true});
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": text});
    let reference = json!({"$ref": format!("#/components/schemas/{definition}")});
    let content = json!({"application/json": {"schema": reference}});
    let operation = |action: &str| {
        json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk(of),
            "parameters": [parameter("dryRun"), parameter("fieldManager"),
                parameter("fieldValidation")],
            "responses": {"200": {"description": "OK", "content": content}},
        })
    };
    json!({"get": operation("get"), "put": operation("put"), "patch": operation("patch"),
        "delete": operation("delete")})
}
