//! What an object must satisfy before it is stored.
//!
//! Names, the schema and the rules of custom types, and the few fields of built-in types that may
//! not change. Not known here: how the object came about.

use serde_json::Value;

use crate::failure::{Failure, FieldError};
use crate::object::{self, at, text};
use crate::resource::ResourceType;
use crate::schema;

/// Optimistic locking: a version or uid that is given must be the live one.
pub(super) fn check_version(of: &ResourceType, given: &Value, live: &Value) -> Result<(), Failure> {
    let conflict = |message: String| Failure::Conflict {
        resource: of.qualified_plural(),
        name: object::name(live).to_owned(),
        message,
    };
    let version = text(given, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != text(live, &["metadata", "resourceVersion"]) {
        return Err(conflict(
            "the object has been modified; please apply your changes to the latest version and \
             try again"
                .into(),
        ));
    }
    let uid = object::uid(given);
    if !uid.is_empty() && uid != object::uid(live) {
        return Err(conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(live)
        )));
    }
    Ok(())
}

/// Refuses an object with every error that it has.
pub(super) fn validate(
    of: &ResourceType,
    object: &Value,
    live: Option<&Value>,
) -> Result<(), Failure> {
    let mut errors = Vec::new();
    check_name(of, object::name(object), &mut errors);
    if of.custom {
        if let Some(schema) = &of.schema {
            errors.extend(schema::validate(schema, object, ""));
        }
        // As in Kubernetes, rules are asked only about objects that their schema allows.
        if errors.is_empty() {
            check_rules(of, object, live, &mut errors);
        }
    }
    if let Some(live) = live {
        check_immutable(of, object, live, &mut errors);
    }
    if errors.is_empty() {
        return Ok(());
    }
    let (kind, name) = (of.qualified_kind(), object::name(object).to_owned());
    Err(Failure::Invalid { kind, name, errors })
}

fn check_name(of: &ResourceType, name: &str, errors: &mut Vec<FieldError>) {
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    if !name.split('.').all(label) || name.len() > 253 {
        let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                      characters, '-' or '.', and must start and end with an alphanumeric \
                      character";
        errors.push(FieldError::invalid("metadata.name", &name.into(), detail));
    } else if matches!(of.kind.as_str(), "Service" | "Namespace") && name.len() > 63 {
        errors.push(FieldError::invalid(
            "metadata.name",
            &name.into(),
            "must be no more than 63 bytes",
        ));
    }
}

fn check_rules(
    of: &ResourceType,
    object: &Value,
    live: Option<&Value>,
    errors: &mut Vec<FieldError>,
) {
    for rule in &of.rules {
        let path: Vec<&str> = rule.path.iter().map(String::as_str).collect();
        let Some(new) = at(object, &path) else { continue };
        let old = live.and_then(|live| at(live, &path));
        if !(rule.holds)(new, old) {
            errors.push(FieldError::broken_rule(rule.field.clone(), &rule.message));
        }
    }
}

fn check_immutable(of: &ResourceType, object: &Value, live: &Value, errors: &mut Vec<FieldError>) {
    const STATEFUL_SET_MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    match of.kind.as_str() {
        "StatefulSet" => {
            let fixed = |set: &Value| {
                let mut spec = set.get("spec").cloned().unwrap_or_default();
                for field in STATEFUL_SET_MUTABLE {
                    object::remove(&mut spec, &[field]);
                }
                spec
            };
            if fixed(object) != fixed(live) {
                errors.push(FieldError::forbidden(
                    "spec",
                    "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                     'template', 'updateStrategy', 'revisionHistoryLimit', \
                     'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
                ));
            }
        }
        "ConfigMap" | "Secret" if live.get("immutable") == Some(&Value::Bool(true)) => {
            for field in ["data", "binaryData", "immutable"] {
                if object.get(field) != live.get(field) {
                    errors.push(FieldError::forbidden(
                        field,
                        "field is immutable when `immutable` is set",
                    ));
                }
            }
        }
        _ => {}
    }
}
