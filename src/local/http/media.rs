//! Formats: what a client accepts, and what it sends.
//!
//! Objects go out as JSON, whole, as tables, or as metadata only; they come in as JSON or YAML.
//! Protobuf and CBOR are refused, and clients fall back. Not known here: routes.

use std::sync::Arc;

use holdfast_api_store::Failure;
use holdfast_api_store::patch::Patch;
use holdfast_api_store::resource::ResourceType;
use holdfast_api_store::table::{IncludeObject, render};
use serde_json::{Value, json};

/// How objects are shown to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As they are.
    Whole,
    /// As rows of a table.
    Table(IncludeObject),
    /// Metadata only.
    Metadata,
}

impl Shape {
    /// The first shape in `Accept` that can be served.
    pub(super) fn accepted(accept: &str, include: &str) -> Self {
        let include = match include {
            "None" => IncludeObject::None,
            "Object" => IncludeObject::Object,
            _ => IncludeObject::Metadata,
        };
        let json = |one: &&str| one.starts_with("application/json") || one.starts_with("*/*");
        let first = accept.split(',').map(str::trim).find(json).unwrap_or("");
        if first.contains("as=Table") {
            Self::Table(include)
        } else if first.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else {
            Self::Whole
        }
    }

    /// One object in this shape; `columns` is false after a watch's first row.
    pub(super) fn show(
        self,
        of: &ResourceType,
        object: &Arc<Value>,
        now_ms: i64,
        columns: bool,
    ) -> Value {
        match self {
            Self::Whole => (**object).clone(),
            Self::Table(include) => {
                let mut table = render(of, std::slice::from_ref(object), now_ms, include, columns);
                table["metadata"]["resourceVersion"] =
                    object["metadata"]["resourceVersion"].clone();
                table
            }
            Self::Metadata => metadata_only(object),
        }
    }

    /// A list in this shape.
    pub(super) fn show_list(
        self,
        of: &ResourceType,
        items: &[Arc<Value>],
        now_ms: i64,
        list_metadata: Value,
    ) -> Value {
        match self {
            Self::Whole => {
                let items: Vec<&Value> = items.iter().map(AsRef::as_ref).collect();
                json!({"kind": format!("{}List", of.kind), "apiVersion": of.api_version(),
                    "metadata": list_metadata, "items": items})
            }
            Self::Table(include) => {
                let mut table = render(of, items, now_ms, include, true);
                table["metadata"] = list_metadata;
                table
            }
            Self::Metadata => {
                let items: Vec<Value> = items.iter().map(|item| metadata_only(item)).collect();
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": list_metadata, "items": items})
            }
        }
    }
}

fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata")})
}

/// Reads the body of a POST or PUT.
pub(super) fn object(content_type: &str, body: &[u8]) -> Result<Value, Failure> {
    match essence(content_type) {
        "" | "application/json" => json(body),
        "application/yaml" => yaml(body),
        other => Err(unsupported(other)),
    }
}

/// Reads the body of a PATCH.
pub(super) fn patch(content_type: &str, body: &[u8], force: bool) -> Result<Patch, Failure> {
    match essence(content_type) {
        "application/merge-patch+json" => json(body).map(Patch::Merge),
        "application/json-patch+json" => json(body).map(Patch::Json),
        "application/strategic-merge-patch+json" => json(body).map(Patch::Strategic),
        "application/apply-patch+yaml" => yaml(body).map(|config| Patch::Apply { config, force }),
        other => Err(unsupported(other)),
    }
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or("").trim()
}

fn unsupported(content_type: &str) -> Failure {
    Failure::UnsupportedMediaType(format!(
        "the body of the request was in an unknown format ({content_type}); the embedded API \
         reads application/json and application/yaml"
    ))
}

fn json(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body)
        .map_err(|e| Failure::BadRequest(format!("error decoding the body: {e}")))
}

fn yaml(body: &[u8]) -> Result<Value, Failure> {
    serde_norway::from_slice(body)
        .map_err(|e| Failure::BadRequest(format!("error converting YAML to JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_format_that_can_be_served_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(Shape::accepted(kubectl, ""), Shape::Table(IncludeObject::Metadata));
        let typed = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(Shape::accepted(typed, ""), Shape::Whole);
        assert_eq!(Shape::accepted("", ""), Shape::Whole);
        let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(Shape::accepted(partial, ""), Shape::Metadata);
    }

    #[test]
    fn a_body_in_a_format_that_is_not_read_is_refused_as_such() {
        let refused = object("application/vnd.kubernetes.protobuf", b"k8s").unwrap_err();
        assert_eq!(refused.code(), 415);
        assert_eq!(object("application/json", b"{").unwrap_err().code(), 400);
    }
}
